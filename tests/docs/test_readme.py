"""The README and the pages it leads to: commands run, quoted messages are printed, names exist."""

import asyncio
import contextlib
import importlib.util
import json
import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, get_args

import httpx
import pytest
from temporalio.envconfig import ClientConfig

from schemas.dead_letters import DeadLetterError
from deploy.local.servers.backends import Kafka, Temporal
from deploy.local.servers.dns_server import DnsServer
from deploy.local.servers.mail_server import MailServer
from deploy.local.places import PROJECT, free_ports
from deploy.local.servers.siteverify import HOSTNAME, SECRET, SiteverifyServer
from deploy.local.waiting import eventually
from schemas import results
from schemas.inbound import OtpSubmitted, SignInRequested
from tests.docs.commands import Shell
from tests.docs.documents import EVENTS, INSTALLATION, README, REFERENCE, Block, blocks, code, rows, section
from utils.settings.environment import variables
from utils.settings.loading import Settings, SettingsError, load_settings

DOCKERFILE: Final = PROJECT / "deploy" / "image" / "Dockerfile"
PAGES: Final = (README, EVENTS, INSTALLATION, REFERENCE)


def blocks_of_pages(*languages: str) -> list[Block]:
    """Return the fenced blocks of all pages in these languages."""
    return [block for page in PAGES for block in blocks(page, *languages)]


SHELL: Final = [block.text for block in blocks_of_pages("sh")]
(ENVIRONMENT,) = (block.text for block in blocks_of_pages("dotenv"))
MESSAGES: Final = [block.text.strip() for block in blocks_of_pages("text")]
PERSON: Final = "you@mail.example"


def block_with(part: str) -> str:
    """Return the one block of commands that holds ``part``."""
    (found,) = (text for text in SHELL if part in text)
    return found


MAKE, KEEP = block_with("make demo\n"), block_with("--keep")
KEYS, INSTALL, DOCKER = block_with("> secrets/account"), block_with("hatchling"), block_with("docker build")
RUN, REQUEST, SUBMIT = block_with("topics create"), block_with("worker request"), block_with("worker submit")
ROLES, CHECKS, REPLAY = block_with("--role"), block_with("check --json"), block_with("dlt replay")


def test_no_command_escapes() -> None:
    """Each block is run or examined by a test of this file."""
    examined = {MAKE, KEEP, KEYS, INSTALL, DOCKER, RUN, REQUEST, SUBMIT, ROLES, CHECKS, REPLAY}
    assert examined == set(SHELL) and len(SHELL) == len(examined)
    languages = "sh dotenv text json bash shell console".split()
    assert {block.language for block in blocks_of_pages(*languages, "")} <= {"sh", "dotenv", "text", "json", ""}


@pytest.mark.parametrize("command", [*MAKE.splitlines(), *KEEP.splitlines()])
def test_make_has_the_targets(command: str) -> None:
    """``make`` knows what to do; that it works is what ``tests/integration/test_demo.py`` and this run show."""
    target = shlex.split(command)[1]
    done = subprocess.run(
        [*shlex.split(command), "--dry-run"], cwd=PROJECT, capture_output=True, text=True, timeout=30, check=True
    )
    program = {"demo": "-m deploy.demo", "test": "-m pytest", "check": "mypy"}[target]
    assert program in done.stdout
    assert ("deploy.demo --keep" in done.stdout) == ("--keep" in command)


def test_contributors_commands_are_there() -> None:
    """Targets of make, test files and modules that CONTRIBUTING.md names."""
    for command in (line for block in blocks(PROJECT / "CONTRIBUTING.md", "sh") for line in block.text.splitlines()):
        program, *arguments = shlex.split(command)
        if program == "make":
            subprocess.run(["make", *arguments, "--dry-run"], cwd=PROJECT, capture_output=True, timeout=30, check=True)
            continue

        assert (program, arguments[0]) == (".cache/venv/bin/python", "-m")
        assert importlib.util.find_spec(arguments[1]) is not None
        assert all((PROJECT / path).exists() for path in arguments[2:] if not path.startswith("--"))


def test_the_wheel_that_is_installed_is_the_one_that_is_built(tmp_path: Path) -> None:
    """The first command builds what the last one names; ``tests/packaging`` installs both for real."""
    build, _, locked, wheel = map(shlex.split, INSTALL.splitlines())
    assert build[0] == ".cache/venv/bin/python" and build[-2:] == ["-d", "dist"]
    subprocess.run([sys.executable, *build[1:-1], str(tmp_path)], cwd=PROJECT, capture_output=True, check=True)
    assert wheel[-1] == f"dist/{next(tmp_path.glob('*.whl')).name}"
    assert (PROJECT / locked[-1]).exists() and "--require-hashes" in locked


def test_the_image_is_built_and_run_as_the_dockerfile_wants() -> None:
    """Files, arguments, ports and commands are those of the Dockerfile; CI builds and runs it."""
    text = DOCKERFILE.read_text()
    build, *runs = map(shlex.split, DOCKER.splitlines())

    assert (PROJECT / build[build.index("-f") + 1]) == DOCKERFILE
    assert all(build[build.index("-t") + 1] in run for run in runs)
    assert {"BASE"} == set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
    assert "id=pip,target=" in text and "--secret id=pip,src=" in INSTALLATION.read_text()
    assert re.findall(r"^EXPOSE (\d+)", text, re.MULTILINE) == ["8080"] and "8080:8080" in runs[1]
    assert all("signin-worker.env" in run and "$PWD/secrets:/secrets:ro" in run for run in runs)
    assert re.search(r'^ENTRYPOINT \[.*"signin-worker"\]$', text, re.MULTILINE) and runs[0][-1] == "check"


async def test_the_production_environment_is_complete(tmp_path: Path) -> None:
    """With the keys made as told, production takes these variables without a remark, and none can be left out."""
    shell = Shell(tmp_path)

    assert (await shell.run(KEYS)).code == 0

    absolute = ENVIRONMENT.replace("=secrets/", f"={tmp_path}/secrets/")
    environ = dict(line.split("=", 1) for line in absolute.splitlines())
    remarks: list[str] = []
    settings = load_settings(environ, remarks.append)

    assert (settings.environment, remarks) == ("production", [])

    temporal = ClientConfig.load_client_connect_config(disable_file=True, override_env_vars=environ)

    assert (temporal["target_host"], temporal["namespace"]) == ("temporal.example.com:7233", "signin")

    for name in environ:
        if name.startswith("SIGNIN_") and "BOOTSTRAP" not in name:
            with pytest.raises(SettingsError, match=name.removesuffix("_FILE")):
                load_settings({kept: value for kept, value in environ.items() if kept != name})


class Stack:
    """The README's environment, moved to the local servers, and the workers that run in it."""

    def __init__(self, shell: Shell, local: dict[str, str]) -> None:
        self.shell = shell
        self.local = local
        self.mail_server = MailServer()
        self._ports: list[int] = []
        self._workers: list[asyncio.subprocess.Process] = []

    async def run(self, script: str, **more: str) -> str:
        """Run commands of the README with its environment; return what they print."""
        http = {"SIGNIN_HTTP__PORT": str(self._ports[0])} if self._ports else {}
        if self._ports:
            script = script.replace("127.0.0.1:8080", f"127.0.0.1:{self._ports[0]}")
        ended = await self.shell.run(f"set -a; . ./signin-worker.env; set +a\n{script}", http | more)
        assert ended.code == 0, f"{script}\n{ended.output}{ended.errors}"
        return ended.output

    async def start_worker(self, command: str) -> None:
        """Start a command that runs until it is stopped."""
        (port,) = free_ports(1)
        script = f"set -a; . ./signin-worker.env; set +a\nSIGNIN_HTTP__PORT={port} exec {command} 2>worker-{port}.log"
        self._workers.append(await self.shell.start(script))
        self._ports.append(port)

    async def metrics(self) -> str:
        """Return the metrics of all workers."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answers = [await client.get(f"http://127.0.0.1:{port}/metrics") for port in self._ports]
        return "".join(answer.text for answer in answers)

    async def are_ready(self) -> bool:
        """Tell whether all workers are."""
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient(trust_env=False) as client:
                answers = [await client.get(f"http://127.0.0.1:{port}/readyz") for port in self._ports]
            return all(answer.is_success for answer in answers)
        return False

    async def stop(self) -> list[int]:
        """Send every worker SIGTERM; return how they ended."""
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.terminate()
        codes = [await asyncio.wait_for(worker.wait(), 35) for worker in self._workers]
        self._workers.clear()
        return codes


@pytest.fixture
def local(
    kafka: Kafka, temporal: Temporal, mail_server: MailServer, siteverify: SiteverifyServer, dns_server: DnsServer
) -> dict[str, str]:
    """Return what the README's environment needs to reach the local servers instead of one's own."""
    run = uuid.uuid4().hex[:8]
    return {
        "SIGNIN_ENVIRONMENT": "development",
        "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "SIGNIN_KAFKA__GROUP_ID": f"readme-{run}",
        "SIGNIN_KAFKA__REQUESTED_TOPIC": f"{run}.signin.requested",
        "SIGNIN_KAFKA__SUBMITTED_TOPIC": f"{run}.otp.submitted",
        "SIGNIN_KAFKA__RESULTS_TOPIC": f"{run}.signin.results",
        "SIGNIN_TEMPORAL__TASK_QUEUE": f"readme-{run}",
        "SIGNIN_SMTP__HOST": mail_server.host,
        "SIGNIN_SMTP__PORT": str(mail_server.port),
        "SIGNIN_SMTP__SECURITY": "none",
        "SIGNIN_TURNSTILE__SECRET": SECRET,
        "SIGNIN_TURNSTILE__HOSTNAMES": HOSTNAME,
        "SIGNIN_TURNSTILE__URL": siteverify.url,
        "SIGNIN_DNS__NAMESERVERS": dns_server.host,
        "SIGNIN_DNS__PORT": str(dns_server.port),
        "TEMPORAL_ADDRESS": temporal.address,
        "TEMPORAL_NAMESPACE": "default",
    }


@pytest.fixture
async def stack(local: dict[str, str], mail_server: MailServer, tmp_path: Path) -> AsyncIterator[Stack]:
    """Give the README's environment file, with its keys made as told."""
    stack = Stack(Shell(tmp_path), local)
    stack.mail_server = mail_server
    assert (await stack.shell.run(KEYS)).code == 0
    moved = "".join(f"{name}={value}\n" for name, value in local.items())
    (tmp_path / "signin-worker.env").write_text(ENVIRONMENT + moved)
    yield stack
    await stack.stop()


@pytest.mark.timeout(300)
async def test_from_topics_to_a_sign_in(stack: Stack) -> None:
    """As the README tells it: topics, check, the workers in all their roles, a sign-in by hand, the end by SIGTERM."""
    source, create, namespace, check, run = RUN.splitlines()

    assert source == "set -a; . ./signin-worker.env; set +a"
    assert (await stack.run(create)).count(": created") == 5
    assert ": exists, retention" in await stack.run(namespace)

    for command in (run, *ROLES.splitlines()):
        await stack.start_worker(command)

    assert "FAIL" not in await stack.run(check)

    await eventually(stack.are_ready, "the workers are ready", within_s=60)

    said = await stack.run(REQUEST.replace('"$TOKEN"', '"pass.$SIGNIN_ID.1"'))
    found = re.search(r"signin_id (\w+)$", said, re.MULTILINE)

    assert found is not None and '"ready":true' in said

    mail = await stack.mail_server.mail_to(PERSON, within_s=30)
    digits = re.search(r"\b\d{4}[ -]?\d{4}\b", mail.text())

    assert digits is not None

    await stack.run(SUBMIT, SIGNIN_ID=found[1], CODE=digits[0])

    async def has_succeeded() -> bool:
        return 'signin_results_total{reason="",type="signin.succeeded"} 1.0' in await stack.metrics()

    await eventually(has_succeeded, "the sign-in has succeeded", within_s=30)

    assert "put back: 0" in await stack.run(REPLAY)
    assert await stack.stop() == [0, 0, 0]


@pytest.mark.timeout(300)
async def test_the_sentences_of_the_likeliest_mistakes_are_said(stack: Stack, siteverify: SiteverifyServer) -> None:
    """What the README quotes is what ``check`` prints when just that is wrong; the example's names stand for ours."""
    (nobody,) = free_ports(1)
    siteverify.secret = "another"
    mistakes = {
        "SIGNIN_OTP__DIGIT": "9",
        "SIGNIN_REPLAY_HORIZON_S": "604800",
        "SIGNIN_SMTP__PORT": str(nobody),
    }
    lines = "".join(f"{name}={value}\n" for name, value in mistakes.items())
    with (stack.shell.folder / "signin-worker.env").open("a") as file:
        file.write(lines)

    source = "set -a; . ./signin-worker.env; set +a\n"
    wrong, bare, help_text = await asyncio.gather(
        stack.shell.run(f"{source}signin-worker check"), *(stack.shell.run(line) for line in CHECKS.splitlines())
    )

    assert (wrong.code, bare.code, help_text.code) == (78, 78, 0)
    assert "SIGNIN_OTP__DIGITS" in help_text.output

    findings = [finding["text"] for finding in json.loads(bare.output)["findings"]]
    prefix = stack.local["SIGNIN_KAFKA__RESULTS_TOPIC"].removesuffix("signin.results")
    printed = "\n".join([wrong.output, *findings]).replace(prefix, "")
    printed = printed.replace(f"{stack.local['SIGNIN_SMTP__HOST']}:{nobody}", "mail.example.com:587")

    assert len(MESSAGES) == 6

    for message in MESSAGES:
        assert message in printed


def test_events_are_what_the_worker_reads() -> None:
    """The models of the wire read both examples, and no member is left over."""
    requested, submitted = (json.loads(block.text) for block in blocks(EVENTS, "json"))
    assert SignInRequested.model_validate(requested).model_dump(exclude_unset=True).keys() == requested.keys()
    assert OtpSubmitted.model_validate(submitted).model_dump(exclude_unset=True).keys() == submitted.keys()


def test_examples_of_the_readme_are_on_the_wire() -> None:
    """The README's request is that of the events page, and its result is what the worker publishes."""
    requested, result = (json.loads(block.text) for block in blocks(README, "json"))
    succeeded = results.SignInSucceeded.model_validate(result)

    assert requested == json.loads(blocks(EVENTS, "json")[0].text)
    assert json.loads(results.ResultEvent(result=succeeded).value()) == result


def test_results_are_those_that_the_worker_publishes() -> None:
    """Types, members and reasons of the table are those of the models; the terminal ones are bold."""
    table = {
        code(kind)[0]: (kind, set(code(members)))
        for kind, members, _ in rows(section(EVENTS, "Results: `signin.results`"))
    }
    models = get_args(get_args(results.Result)[0])
    common = {"signin_id", "account", "occurred_at", "type"}

    assert len(models) == len(table)

    for model in models:
        kind, told = table[model.model_fields["type"].default]
        reasons = model.model_fields["reason"].annotation if "reason" in model.model_fields else None

        assert told == {*(model.model_fields.keys() - common), *get_args(reasons)}
        assert kind.startswith("**") == (model.model_fields["type"].default in results.TERMINAL_TYPES)


def test_dead_letter_errors_are_those_of_the_worker() -> None:
    """Each error has a row."""
    table = rows(section(EVENTS, "Dead letters: `<topic>.dlt`"))
    assert [code(error)[0] for error, _ in table] == list(get_args(DeadLetterError))


def test_every_setting_that_is_named_is_one() -> None:
    """No variable in the text is misspelt, but for the one that shows what happens then."""
    known = {variable.name for variable in variables(Settings)}
    secrets = {f"{variable.name}_FILE" for variable in variables(Settings) if variable.secret}
    text = "".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"\bSIGNIN_(?!TEST_|ID\b)[A-Z_]*[A-Z]\b", text))

    assert named - known - secrets == {"SIGNIN_OTP__DIGIT"}
