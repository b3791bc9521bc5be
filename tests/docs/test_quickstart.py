"""The programs of the quick start, run as they stand there, each with a person who reads the mail."""

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from deploy.local.servers.backends import Kafka, Temporal
from deploy.local.servers.dns_server import DnsServer
from deploy.local.servers.mail_server import MailServer
from deploy.local.places import PROJECT, cache_folder, free_ports
from deploy.local.servers.siteverify import SiteverifyServer
from deploy.local.topics import Topics
from deploy.local.waiting import eventually
from deploy.local.worker import LocalWorker, development_settings
from tests.docs.commands import Shell
from tests.docs.documents import blocks

QUICK_START: Final = PROJECT / "docs" / "quickstart.md"
SHELL: Final = [block.text for block in blocks(QUICK_START, "sh")]
(PYTHON,) = (block.text for block in blocks(QUICK_START, "python"))
(NODE,) = (block.text for block in blocks(QUICK_START, "js"))
KAFKAJS: Final = cache_folder() / "node_modules" / "kafkajs"
WITHIN_S: Final = 30


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip where a program is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not here: {', '.join(missing)}")


class Upstream:
    """Somebody's service beside a worker, with topics of its own."""

    def __init__(self, kafka: Kafka, topics: Topics, mail_server: MailServer, folder: Path) -> None:
        self.brokers = kafka.bootstrap_servers
        self.mail_server = mail_server
        self.shell = Shell(folder)
        self._topics = topics

    def moved(self, text: str) -> str:
        """Return a program with the names of our topics and group."""
        names = {
            "signin.requested": self._topics.requested,
            "otp.submitted": self._topics.submitted,
            "signin.results": self._topics.results,
            "sign-in-page": f"{self._topics.group_id}.page",
        }
        for name, own in names.items():
            text = text.replace(name, own)

        return text

    async def code(self, email: str) -> str:
        """Wait for the mail and read the code."""
        return (await self.mail_server.mail_to(email, within_s=WITHIN_S)).code()


@pytest.fixture
async def upstream(
    kafka: Kafka,
    temporal: Temporal,
    mail_server: MailServer,
    siteverify: SiteverifyServer,
    dns_server: DnsServer,
    tmp_path: Path,
) -> AsyncIterator[Upstream]:
    """Give a service whose events a worker reads."""
    topics = Topics.fresh("quickstart")
    places = {
        "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "SIGNIN_SMTP__HOST": mail_server.host,
        "SIGNIN_SMTP__PORT": str(mail_server.port),
        "SIGNIN_TURNSTILE__URL": siteverify.url,
        "SIGNIN_DNS__NAMESERVERS": dns_server.host,
        "SIGNIN_DNS__PORT": str(dns_server.port),
        "TEMPORAL_ADDRESS": temporal.address,
    }
    worker = LocalWorker(development_settings(places | topics.settings()), free_ports(1)[0])
    await worker.create_topics()

    try:
        await worker.start()
        yield Upstream(kafka, topics, mail_server, tmp_path)
        await worker.end()
    finally:
        worker.stop()


@needs("kcat", "openssl")
async def test_by_hand(upstream: Upstream) -> None:
    """Three commands: a request, a code, and what was said."""
    variables, request, submit, read = (upstream.moved(text) for text in SHELL)
    (upstream.shell.folder / "settings.sh").write_text(variables)
    own = {"SIGNIN_KAFKA__BOOTSTRAP_SERVERS": upstream.brokers}
    drawn = await upstream.shell.run(f'. ./settings.sh\n{request}\necho "$ID"', own)

    assert drawn.code == 0, drawn.errors

    mine = {"BROKERS": upstream.brokers, "ID": drawn.output.strip(), "EMAIL": "you@ok.example"}
    typed = await upstream.shell.run(submit, mine | {"CODE": await upstream.code("you@ok.example")})

    assert typed.code == 0, typed.errors

    async def said() -> str | None:
        output = (await upstream.shell.run(f"{read.strip()} || true", mine)).output
        return output if "signin.succeeded" in output else None

    output = await eventually(said, "the sign-in has succeeded", within_s=WITHIN_S)

    assert output.index("ce_type=signin.code_sent") < output.index("ce_type=signin.succeeded")


async def test_from_python(upstream: Upstream) -> None:
    """A wrong code, then the right one."""
    program = upstream.shell.folder / "sign_in.py"
    program.write_text(upstream.moved(PYTHON))
    await signed_in(upstream, [sys.executable, str(program)], {})


@needs("node")
@pytest.mark.skipif(not KAFKAJS.exists(), reason="not here: npm install --prefix .cache kafkajs")
async def test_from_node(upstream: Upstream) -> None:
    """The same."""
    program = upstream.shell.folder / "sign_in.mjs"
    program.write_text(upstream.moved(NODE))
    (upstream.shell.folder / "node_modules").symlink_to(KAFKAJS.parent)
    await signed_in(upstream, ["node", str(program)], {"KAFKAJS_NO_PARTITIONER_WARNING": "1"})


async def signed_in(upstream: Upstream, command: list[str], more: Mapping[str, str]) -> None:
    """Run a program whose person errs once, and see it end well."""
    signin_id, email = os.urandom(16).hex(), "ada@ok.example"
    process = await asyncio.create_subprocess_exec(
        *command,
        *(email, signin_id, f"pass.{signin_id}.1"),
        env={"PATH": os.environ["PATH"], "BROKERS": upstream.brokers, **more},
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        async with asyncio.timeout(2 * WITHIN_S):
            code = await upstream.code(email)
            output = await heard(process, "signin.code_sent")
            await typed(process, f"{(int(code) + 1) % 10**8:08d}")
            output += await heard(process, "otp.rejected wrong_code")
            await typed(process, code)
            rest, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()

    assert "signin.succeeded" in rest.decode(), errors.decode()
    assert (process.returncode, output.count("code_sent")) == (0, 1)


async def heard(process: Process, words: str) -> str:
    """Read until it says so."""
    assert process.stdout is not None and process.stderr is not None

    output = ""
    while words not in output:
        line = (await process.stdout.readline()).decode()
        if not line:
            pytest.fail(f"it ended: {output}{(await process.stderr.read()).decode()}")
        output += line

    return output


async def typed(process: Process, code: str) -> None:
    """Type a code."""
    assert process.stdin is not None
    process.stdin.write(f"{code}\n".encode())
    await process.stdin.drain()
