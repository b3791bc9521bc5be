"""The installation, done as README.md and docs/installation.md describe it, on local servers."""

import asyncio
import contextlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from temporalio.envconfig import ClientConfig

from deploy.local.places import PROJECT, free_ports
from deploy.local.servers.backends import Kafka, Temporal
from deploy.local.servers.dns_server import DnsServer
from deploy.local.servers.mail_server import MailServer
from deploy.local.servers.outside import outside_settings
from deploy.local.servers.siteverify import HOSTNAME, SECRET, SiteverifyServer
from deploy.local.topics import Topics
from deploy.local.waiting import eventually
from tests.docs.commands import Shell
from tests.docs.documents import INSTALLATION, documents
from tests.docs.pages import (
    CHECKS,
    DOCKER,
    ENVIRONMENT,
    INSTALL,
    KEYS,
    MESSAGES,
    REPLAY,
    REQUEST,
    ROLES,
    RUN,
    SUBMIT,
)
from utils.settings.loading import SettingsError, load_settings

DOCKERFILE: Final = PROJECT / "deploy" / "image" / "Dockerfile"
SET_ENVIRONMENT: Final = "set -a; . ./signin-worker.env; set +a"
PERSON: Final = "you@mail.example"
PORT: Final = 8080
STOP_WITHIN_S: Final = 35


def test_the_wheel_that_is_installed_is_the_one_that_is_built(tmp_path: Path) -> None:
    """The first command builds what the last one installs; ``tests/packaging`` does both for real."""
    build, _, locked, wheel = map(shlex.split, INSTALL.splitlines())

    assert build[0] == ".cache/venv/bin/python"
    assert build[-2:] == ["-d", "dist"]

    subprocess.run([sys.executable, *build[1:-1], str(tmp_path)], cwd=PROJECT, capture_output=True, check=True)

    assert wheel[-1] == f"dist/{next(tmp_path.glob('*.whl')).name}"
    assert (PROJECT / locked[-1]).exists()
    assert "--require-hashes" in locked


def test_the_image_is_built_and_run_as_the_dockerfile_wants() -> None:
    """Files, arguments, ports and commands are those of the Dockerfile; CI builds and runs the image."""
    text = DOCKERFILE.read_text()
    build, *runs = map(shlex.split, DOCKER.splitlines())

    assert PROJECT / build[build.index("-f") + 1] == DOCKERFILE
    assert all(build[build.index("-t") + 1] in run for run in runs)
    assert all("signin-worker.env" in run and "$PWD/secrets:/secrets:ro" in run for run in runs)

    assert set(re.findall(r"^ARG (\w+)", text, re.MULTILINE)) == {"BASE"}
    assert "id=pip,target=" in text
    assert "--secret id=pip,src=" in INSTALLATION.read_text()

    assert re.findall(r"^EXPOSE (\d+)", text, re.MULTILINE) == [str(PORT)]
    assert f"127.0.0.1:{PORT}:{PORT}" in runs[1]
    assert re.search(r'^ENTRYPOINT \[.*"signin-worker"\]$', text, re.MULTILINE)
    assert runs[0][-1] == "check"


def test_no_document_publishes_a_port_on_all_interfaces() -> None:
    """Docker publishes a port to the whole network, past the host's firewall, unless an address stands before it."""
    published = [
        (document.name, port)
        for document in documents()
        for port in re.findall(r"\bdocker run\b.*?(?:-p|--publish)[ =](\S+)", document.read_text())
    ]

    assert published
    assert [each for each in published if not each[1].startswith("127.0.0.1:")] == []


async def test_the_production_environment_is_complete(tmp_path: Path) -> None:
    """With keys made as described, production accepts these variables without a warning, and needs each of them."""
    shell = Shell(tmp_path)

    assert (await shell.run(KEYS)).code == 0

    absolute = ENVIRONMENT.replace("=secrets/", f"={tmp_path}/secrets/")
    environ = dict(line.split("=", 1) for line in absolute.splitlines())
    warnings: list[str] = []
    settings = load_settings(environ, warnings.append)

    assert (settings.environment, warnings) == ("production", [])

    temporal = ClientConfig.load_client_connect_config(disable_file=True, override_env_vars=environ)

    assert temporal["target_host"] == "temporal.example.com:7233"
    assert temporal["namespace"] == "signin"

    needed = (name for name in environ if name.startswith("SIGNIN_") and "BOOTSTRAP" not in name)
    for missing in needed:
        with pytest.raises(SettingsError, match=missing.removesuffix("_FILE")):
            load_settings({name: value for name, value in environ.items() if name != missing})


class Stack:
    """The README's environment, moved to the local servers, and the workers that run in it."""

    def __init__(self, shell: Shell, local: dict[str, str], mail_server: MailServer) -> None:
        self.shell = shell
        self.local = local
        self.mail_server = mail_server
        self._ports: list[int] = []
        self._workers: list[asyncio.subprocess.Process] = []

    async def run(self, script: str, **more: str) -> str:
        """Run commands of the pages with the README's environment; return what they print."""
        variables = dict(more)
        if self._ports:
            port = str(self._ports[0])
            variables["SIGNIN_HTTP__PORT"] = port
            script = script.replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{port}")

        ended = await self.shell.run(f"{SET_ENVIRONMENT}\n{script}", variables)

        assert ended.code == 0, f"{script}\n{ended.output}{ended.errors}"

        return ended.output

    async def start_worker(self, command: str) -> None:
        """Start a command that runs until it is stopped."""
        (port,) = free_ports(1)
        script = f"{SET_ENVIRONMENT}\nSIGNIN_HTTP__PORT={port} exec {command} 2>worker-{port}.log"

        self._workers.append(await self.shell.start(script))
        self._ports.append(port)

    async def metrics(self) -> str:
        """Return the metrics of all workers."""
        return "".join(response.text for response in await self._ask("/metrics"))

    async def are_ready(self) -> bool:
        """Tell whether all workers are ready."""
        with contextlib.suppress(httpx.HTTPError):
            return all(response.is_success for response in await self._ask("/readyz"))

        return False

    async def stop(self) -> list[int]:
        """Send SIGTERM to every worker; return their exit codes."""
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.terminate()

        codes = [await asyncio.wait_for(worker.wait(), STOP_WITHIN_S) for worker in self._workers]
        self._workers.clear()

        return codes

    async def _ask(self, path: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(trust_env=False) as client:
            return [await client.get(f"http://127.0.0.1:{port}{path}") for port in self._ports]


@pytest.fixture
def local(
    kafka: Kafka, temporal: Temporal, mail_server: MailServer, siteverify: SiteverifyServer, dns_server: DnsServer
) -> dict[str, str]:
    """Return the variables that lead the README's environment to the local servers."""
    servers = {
        "SIGNIN_ENVIRONMENT": "development",
        "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        **outside_settings(mail_server, siteverify, dns_server),
        "SIGNIN_SMTP__SECURITY": "none",
        "SIGNIN_TURNSTILE__SECRET": SECRET,
        "SIGNIN_TURNSTILE__HOSTNAMES": HOSTNAME,
        "TEMPORAL_ADDRESS": temporal.address,
        "TEMPORAL_NAMESPACE": "default",
    }

    return servers | Topics.fresh("readme").settings()


@pytest.fixture
async def stack(local: dict[str, str], mail_server: MailServer, tmp_path: Path) -> AsyncIterator[Stack]:
    """Give the README's environment file, with keys made as described."""
    stack = Stack(Shell(tmp_path), local, mail_server)

    assert (await stack.shell.run(KEYS)).code == 0

    moved = "".join(f"{name}={value}\n" for name, value in local.items())
    (tmp_path / "signin-worker.env").write_text(ENVIRONMENT + moved)

    yield stack

    await stack.stop()


@pytest.mark.timeout(300)
async def test_from_topics_to_a_sign_in(stack: Stack) -> None:
    """The commands of the pages lead from no topics, through workers in all roles, to a sign-in and an orderly end."""
    source, create, namespace, check, run = RUN.splitlines()

    assert source == SET_ENVIRONMENT
    assert (await stack.run(create)).count(": created") == 5
    assert ": exists, retention" in await stack.run(namespace)

    for command in (run, *ROLES.splitlines()):
        await stack.start_worker(command)

    assert "FAIL" not in await stack.run(check)

    await eventually(stack.are_ready, "the workers are ready", within_s=60)

    printed = await stack.run(REQUEST.replace('"$TOKEN"', '"pass.$SIGNIN_ID.1"'))
    signin_id = re.search(r"signin_id (\w+)$", printed, re.MULTILINE)

    assert signin_id is not None
    assert '"ready":true' in printed

    mail = await stack.mail_server.mail_to(PERSON, within_s=30)
    digits = re.search(r"\b\d{4}[ -]?\d{4}\b", mail.text())

    assert digits is not None

    await stack.run(SUBMIT, SIGNIN_ID=signin_id[1], CODE=digits[0])

    async def has_succeeded() -> bool:
        return 'signin_results_total{reason="",type="signin.succeeded"} 1.0' in await stack.metrics()

    await eventually(has_succeeded, "the sign-in has succeeded", within_s=30)

    assert "put back: 0" in await stack.run(REPLAY)
    assert await stack.stop() == [0, 0, 0]


@pytest.mark.timeout(300)
async def test_messages_of_common_mistakes_are_printed(stack: Stack, siteverify: SiteverifyServer) -> None:
    """``check`` prints each quoted message when exactly that is wrong, but for the names of the example."""
    (unused_port,) = free_ports(1)
    siteverify.secret = "another"
    mistakes = {
        "SIGNIN_OTP__DIGIT": "9",
        "SIGNIN_REPLAY_HORIZON_S": "604800",
        "SIGNIN_SMTP__PORT": str(unused_port),
    }
    with (stack.shell.folder / "signin-worker.env").open("a") as file:
        file.writelines(f"{name}={value}\n" for name, value in mistakes.items())

    misconfigured, unconfigured, helped = await asyncio.gather(
        stack.shell.run(f"{SET_ENVIRONMENT}\nsignin-worker check"),
        *(stack.shell.run(line) for line in CHECKS.splitlines()),
    )

    assert (misconfigured.code, unconfigured.code, helped.code) == (78, 78, 0)
    assert "SIGNIN_OTP__DIGITS" in helped.output

    findings = [finding["text"] for finding in json.loads(unconfigured.output)["findings"]]
    prefix = stack.local["SIGNIN_KAFKA__RESULTS_TOPIC"].removesuffix("signin.results")
    mail_server = f"{stack.local['SIGNIN_SMTP__HOST']}:{unused_port}"

    printed = "\n".join([misconfigured.output, *findings])
    printed = printed.replace(prefix, "").replace(mail_server, "mail.example.com:587")

    assert len(MESSAGES) == 6

    for message in MESSAGES:
        assert message in printed
