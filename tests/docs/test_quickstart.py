"""The programs of the quick start run as they stand there, each with a person who reads the mail."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from deploy.local.servers.backends import Kafka, Temporal
from deploy.local.servers.dns_server import DnsServer
from deploy.local.servers.mail_server import MailServer
from deploy.local.places import PROJECT, cache_folder, free_ports
from deploy.local.servers.outside import outside_settings
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
CLIENT: Final = "@platformatic/kafka"
WITHIN_S: Final = 30


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip where a program is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not here: {', '.join(missing)}")


class Upstream:
    """A service beside a worker, with topics of its own."""

    def __init__(self, kafka: Kafka, topics: Topics, mail_server: MailServer, folder: Path) -> None:
        self.brokers = kafka.bootstrap_servers
        self.mail_server = mail_server
        self.shell = Shell(folder)
        self._topics = topics

    def with_own_names(self, text: str) -> str:
        """Return a program with the names of these topics and this group."""
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
        **outside_settings(mail_server, siteverify, dns_server),
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


def test_the_client_that_the_page_names_is_locked() -> None:
    """The program imports it, the page says how to install it, and the tests use one version of it."""
    packages = json.loads((PROJECT / "requirements" / "node" / "package.json").read_text())["dependencies"]

    assert f'from "{CLIENT}";' in NODE
    assert f"`npm install {CLIENT}`" in QUICK_START.read_text()
    assert re.fullmatch(r"\d+\.\d+\.\d+", packages[CLIENT])


@needs("kcat", "openssl")
async def test_by_hand(upstream: Upstream) -> None:
    """Three commands request a sign-in, submit the code, and read the results."""
    variables, request, submit, read = (upstream.with_own_names(text) for text in SHELL)
    (upstream.shell.folder / "settings.sh").write_text(variables)
    brokers = {"SIGNIN_KAFKA__BOOTSTRAP_SERVERS": upstream.brokers}

    requested = await upstream.shell.run(f'. ./settings.sh\n{request}\necho "$ID"', brokers)

    assert requested.code == 0, requested.errors

    environment = {"BROKERS": upstream.brokers, "ID": requested.output.strip(), "EMAIL": "you@ok.example"}
    code = await upstream.code("you@ok.example")
    submitted = await upstream.shell.run(submit, environment | {"CODE": code})

    assert submitted.code == 0, submitted.errors

    async def results_with_success() -> str | None:
        output = (await upstream.shell.run(f"{read.strip()} || true", environment)).output
        return output if "signin.succeeded" in output else None

    output = await eventually(results_with_success, "the sign-in has succeeded", within_s=WITHIN_S)

    assert output.index("ce_type=signin.code_sent") < output.index("ce_type=signin.succeeded")


async def test_from_python(upstream: Upstream) -> None:
    """The Python program signs in after a wrong code."""
    program = upstream.shell.folder / "sign_in.py"
    program.write_text(upstream.with_own_names(PYTHON))
    await sign_in_after_an_error(upstream, [sys.executable, str(program)])


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Return the locked packages for Node, which are installed once. Skips where they cannot be."""
    folder = cache_folder() / "node_modules"
    if not (folder / CLIENT).exists():
        done = subprocess.run(["make", "node-packages"], cwd=PROJECT, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"make node-packages failed: {done.stderr[-500:]}")

    return folder


@needs("node", "npm", "make")
@pytest.mark.timeout(600)  # most of it for npm, the first time
async def test_from_node(node_modules: Path, upstream: Upstream) -> None:
    """The Node program signs in after a wrong code."""
    program = upstream.shell.folder / "sign_in.mjs"
    program.write_text(upstream.with_own_names(NODE))
    (upstream.shell.folder / "node_modules").symlink_to(node_modules)
    await sign_in_after_an_error(upstream, ["node", str(program)])


async def sign_in_after_an_error(upstream: Upstream, command: list[str]) -> None:
    """Run a program whose person types a wrong code first, and check that the sign-in succeeds."""
    signin_id = os.urandom(16).hex()
    email = "ada@ok.example"

    process = await asyncio.create_subprocess_exec(
        *command,
        *(email, signin_id, f"pass.{signin_id}.1"),
        env={"PATH": os.environ["PATH"], "BROKERS": upstream.brokers},
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        async with asyncio.timeout(2 * WITHIN_S):
            code = await upstream.code(email)
            output = await read_until(process, "signin.code_sent")
            await type_code(process, f"{(int(code) + 1) % 10**8:08d}")
            output += await read_until(process, "otp.rejected wrong_code")
            await type_code(process, code)
            rest, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()

    assert "signin.succeeded" in rest.decode(), errors.decode()
    assert (process.returncode, output.count("code_sent")) == (0, 1)


async def read_until(process: Process, words: str) -> str:
    """Return the program's output up to the line that holds ``words``."""
    assert process.stdout is not None and process.stderr is not None

    output = ""
    while words not in output:
        line = (await process.stdout.readline()).decode()
        if not line:
            pytest.fail(f"it ended: {output}{(await process.stderr.read()).decode()}")
        output += line

    return output


async def type_code(process: Process, code: str) -> None:
    """Type a code at the program's prompt."""
    assert process.stdin is not None
    process.stdin.write(f"{code}\n".encode())
    await process.stdin.drain()
