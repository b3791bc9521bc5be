"""The command line: what it prints and how it ends."""

import asyncio
import base64
import contextlib
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

import signin_worker
from deploy.local.servers.backends import Kafka, Temporal
from deploy.local.servers.dns_server import DnsServer
from deploy.local.servers.mail_server import MailServer
from deploy.local.servers.siteverify import SECRET, SiteverifyServer
from deploy.local.waiting import eventually
from signin_worker import Role, command_line, run_worker
from deploy.local.topics import Topics
from utils.endpoints import CannotListen
from utils.settings.loading import Settings, SettingsError, load_settings
from utils.process import StopRequested
from utils.wiring import Wiring

KEY = base64.b64encode(bytes(32)).decode()
ROOT = Path(signin_worker.__file__).parent
SIGNIN_ID = "rJ3hQ0m1TzC9vWcK8uYbXw"


def closed_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set a development environment in which nothing answers, and none of the developer's own variables counts."""
    for name in list(os.environ):
        if name.startswith(("SIGNIN_", "TEMPORAL_")):
            monkeypatch.delenv(name)

    nobody = closed_port()
    values = {
        "SIGNIN_ENVIRONMENT": "development",
        "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{nobody}",
        "SIGNIN_SMTP__HOST": "127.0.0.1",
        "SIGNIN_SMTP__PORT": str(nobody),
        "SIGNIN_TURNSTILE__URL": f"http://127.0.0.1:{nobody}",
        "SIGNIN_DNS__NAMESERVERS": "127.0.0.1",
        "SIGNIN_DNS__PORT": str(nobody),
        "SIGNIN_KEYS__ACCOUNT": KEY,
        "SIGNIN_KEYS__CODE": f"c2:{KEY},c1:{KEY}",
        "SIGNIN_KEYS__PAYLOAD": f"p1:{KEY}",
        "SIGNIN_HTTP__PORT": str(closed_port()),
        "SIGNIN_LOG__FORMAT": "json",
        "TEMPORAL_ADDRESS": f"127.0.0.1:{nobody}",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)

    return values


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
def run() -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command and returns exit code, output and errors."""

    def invoke(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(command_line(), arguments)
        return result.exit_code, result.stdout, result.stderr

    return invoke


Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run", "--role", "boss"],
        ["request"],
        ["request", "ada@example.com", "--attempt", "many"],
        ["request", "ada@example.com", "--attempt", "21"],
        ["request", "ada@example.com", "--signin-id", "short"],
        ["submit", SIGNIN_ID, "ada@example.com", "1" * 65],
        ["submit", SIGNIN_ID, "ada@example.com", "12345678", "--submission-id", "short"],
        ["dlt", "list", "--topic", "signin.results"],
        ["dlt", "show", "signin.results/0/0"],
    ],
)
@pytest.mark.usefixtures("environ")
def test_usage_errors_end_with_64(run: Run, arguments: list[str]) -> None:
    """What cannot be meant is refused before anything is built; codes are not repeated."""
    code, output, errors = run(*arguments)
    assert (code, output) == (64, "")
    assert errors
    assert "12345678" not in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["request", "a@b.example"],
        ["submit", SIGNIN_ID, "a@b.example", "1"],
        ["dlt", "list"],
        ["dlt", "replay"],
        ["schemas"],
    ],
)
@pytest.mark.usefixtures("environ")
def test_bad_settings_end_with_78(run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """Each problem is a sentence on stderr."""
    monkeypatch.setenv("SIGNIN_KAFKA__RESULTS_TOPIC", "not a topic")
    code, output, errors = run(*arguments)
    assert (code, output) == (78, "")
    assert errors.startswith("SIGNIN_KAFKA__RESULTS_TOPIC is not valid")


@pytest.mark.parametrize(
    "arguments",
    [
        ["topics", "create"],
        ["request", "a@b.example"],
        ["submit", SIGNIN_ID, "a@b.example", "12345678"],
        ["dlt", "list"],
        ["dlt", "show", "otp.submitted.dlt/0/0"],
        ["dlt", "replay"],
        ["dlt", "replay", "--dry-run", "--json"],
    ],
)
@pytest.mark.usefixtures("environ")
def test_without_kafka_commands_end_with_69(run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """A person who emits an event learns that Kafka is away; settings of other things are not asked for."""
    monkeypatch.setenv("SIGNIN_ENVIRONMENT", "production")
    monkeypatch.delenv("SIGNIN_SMTP__HOST")
    code, output, errors = run(*arguments)
    assert (code, output) == (69, "")
    assert "Kafka is unavailable" in errors


@pytest.mark.usefixtures("environ")
def test_without_an_instance_nothing_is_resumed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who resumes needs an address of an instance, and no other setting: 69 with what to do, 78 if it is none."""
    monkeypatch.setenv("SIGNIN_ENVIRONMENT", "production")
    monkeypatch.delenv("SIGNIN_SMTP__HOST")
    code, output, errors = run("dlt", "resume")

    assert (code, output) == (69, "")
    assert errors.startswith("nobody answers at 127.0.0.1:")
    assert "SIGNIN_HTTP__HOST" in errors

    monkeypatch.setenv("SIGNIN_HTTP__PORT", "http")

    assert run("dlt", "resume")[0] == 78


@pytest.mark.usefixtures("environ")
def test_check_tells_bad_settings_as_lines_and_as_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """``check`` ends with 78 before it asks any dependency."""
    monkeypatch.setenv("SIGNIN_SMTP__PORT", "x")
    code, output, _ = run("check")
    assert code == 78
    assert output.startswith("FAIL settings: SIGNIN_SMTP__PORT")
    code, output, _ = run("check", "--json")
    assert code == 78
    assert json.loads(output)["findings"][0]["ok"] is False


@pytest.mark.usefixtures("environ")
def test_check_names_every_dependency_that_is_away(run: Run) -> None:
    """With nothing there, each dependency has a line with a remedy, and the code is 69."""
    code, output, _ = run("check", "--json")
    report = json.loads(output)
    assert (code, report["ok"]) == (69, False)
    bad = {finding["name"]: finding["fix"] for finding in report["findings"] if not finding["ok"]}
    assert list(bad) == ["Kafka", "Temporal", "SMTP", "Turnstile", "DNS"]
    assert all(bad.values())
    assert "code keys: c2, c1" in report["findings"][0]["text"]


def test_check_help_documents_every_setting(run: Run) -> None:
    """The help is the reference of settings."""
    code, output, _ = run("check", "--help")
    assert code == 0
    assert "SIGNIN_DEAD_LETTERS__BREAKER_PER_MINUTE" in output
    assert "TEMPORAL_ADDRESS" in output


@pytest.mark.parametrize(("argument", "status"), [("--help", 0), ("nonsense", 64)])
def test_main_leaves_with_the_commands_code(monkeypatch: pytest.MonkeyPatch, argument: str, status: int) -> None:
    """The entry point runs what the command line says."""
    monkeypatch.setattr(sys, "argv", ["signin-worker", argument])
    monkeypatch.setattr(signin_worker, "exit_now", sys.exit)
    with pytest.raises(SystemExit) as left:
        signin_worker.main()
    assert (left.value.code or 0) == status


def test_a_bug_ends_with_70(run: Run, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> None:
    """What nobody foresaw is logged, and the code says so."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(signin_worker, "configure_logging", broken)
    assert run("run")[0] == 70


@pytest.mark.usefixtures("environ")
def test_run_ends_with_78_when_it_cannot_listen(run: Run) -> None:
    """Two workers on one machine need two ports."""
    with socket.create_server(("127.0.0.1", int(os.environ["SIGNIN_HTTP__PORT"]))):
        code, _, errors = run("run")
    assert code == 78
    assert "SIGNIN_HTTP__PORT" in errors


@pytest.mark.usefixtures("environ")
def test_run_ends_with_78_when_temporals_settings_are_unusable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that is not there is no outage."""
    monkeypatch.setenv("TEMPORAL_PROFILE", "no-such-profile")
    code, _, errors = run("run")
    assert code == 78
    assert "TEMPORAL_" in errors


def test_run_waits_for_temporal_and_stops_on_sigterm(environ: dict[str, str]) -> None:
    """With Temporal away the real command is alive, not ready, and ends with 0 when asked."""
    command = [sys.executable, "-c", "import signin_worker; signin_worker.main()", "run"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        with contextlib.closing(process.stderr) as lines:
            assert any("waiting for a dependency" in line for line in lines)

            base = f"http://127.0.0.1:{environ['SIGNIN_HTTP__PORT']}"

            assert httpx.get(f"{base}/livez", trust_env=False).status_code == 200

            ready = httpx.get(f"{base}/readyz", trust_env=False)

            assert (ready.status_code, ready.json()["missing"]) == (503, ["Temporal: not reached yet"])
            assert b"signin_consumer_in_flight" in httpx.get(f"{base}/metrics", trust_env=False).content

            process.terminate()

            assert any('"stopped"' in line for line in lines)
        assert process.wait(20) == 0


def _terminate_when_alive(port: int) -> None:
    """Send SIGTERM to this process once its endpoints answer."""
    with contextlib.suppress(httpx.HTTPError):
        transport = httpx.HTTPTransport(retries=10)
        with httpx.Client(transport=transport, trust_env=False) as client:
            client.get(f"http://127.0.0.1:{port}/livez")
    os.kill(os.getpid(), signal.SIGTERM)


def test_run_ends_with_0_on_sigterm(run: Run, environ: dict[str, str]) -> None:
    """The same in this process: SIGTERM is a clean end."""
    caught = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    terminator = threading.Thread(target=_terminate_when_alive, args=[int(environ["SIGNIN_HTTP__PORT"])])
    terminator.start()

    try:
        code, output, errors = run("run", "--role", "worker")
    finally:
        terminator.join()
        signal.signal(signal.SIGTERM, caught)

    assert (code, output) == (0, "")
    assert "asked to stop" in errors


def test_the_codec_server_ends_with_0_on_sigterm(
    run: Run, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers until then; nothing but its token and the payload keys is asked for."""
    port = int(environ["SIGNIN_HTTP__PORT"])
    monkeypatch.setenv("SIGNIN_CODEC_SERVER__PORT", str(port))
    monkeypatch.setenv("SIGNIN_CODEC_SERVER__TOKEN", "t" * 32)
    monkeypatch.setenv("SIGNIN_ENVIRONMENT", "production")
    monkeypatch.delenv("SIGNIN_SMTP__HOST")
    caught = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    terminator = threading.Thread(target=_terminate_when_alive, args=[port])
    terminator.start()

    try:
        code, output, errors = run("codec-server")
    finally:
        terminator.join()
        signal.signal(signal.SIGTERM, caught)

    assert (code, output) == (0, "")
    assert "codec-server" in errors


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SIGNIN_CODEC_SERVER__TOKEN", None, "SIGNIN_CODEC_SERVER__TOKEN is missing: draw 32 characters"),
        ("SIGNIN_CODEC_SERVER__TOKEN", "short", "must be at least 32 characters"),
        ("SIGNIN_CODEC_SERVER__ORIGINS", "*", "entry 1 must look like https://"),
        ("SIGNIN_CODEC_SERVER__ORIGINS", "https://a.example,https://b.example/x", "entry 2 must look like https://"),
        ("SIGNIN_KEYS__PAYLOAD", None, "SIGNIN_KEYS__PAYLOAD is missing"),
    ],
)
@pytest.mark.usefixtures("environ")
def test_the_codec_server_needs_its_settings(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None, words: str
) -> None:
    """It shows addresses: without a token, or to any page, it does not start. No token is repeated."""
    monkeypatch.setenv("SIGNIN_ENVIRONMENT", "production")
    monkeypatch.setenv("SIGNIN_CODEC_SERVER__TOKEN", "t" * 32)
    monkeypatch.delenv(variable, raising=False)
    if value is not None:
        monkeypatch.setenv(variable, value)

    code, output, errors = run("codec-server")

    assert (code, output) == (78, "")
    assert words in errors
    assert "short is" not in errors


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    """Return settings of a development environment."""
    return load_settings(environ)


async def test_run_needs_its_port(settings: Settings) -> None:
    """Without its endpoints the worker does not run."""
    with socket.create_server(("127.0.0.1", settings.http.port)):
        with pytest.raises(CannotListen):
            await run_worker(Wiring(settings), "all", asyncio.Event())


async def test_run_can_be_stopped_before_it_began(settings: Settings) -> None:
    """A process that is asked to stop while it waits does so."""
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(StopRequested):
        await run_worker(Wiring(settings), "all", stop)


@pytest.fixture
def served(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], kafka: Kafka, temporal: Temporal
) -> dict[str, str]:
    """Return the environment with a real Kafka and a real Temporal."""
    real = {"SIGNIN_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "TEMPORAL_ADDRESS": temporal.address}
    for name, value in real.items():
        monkeypatch.setenv(name, value)
    return environ | real


def named(topics: Topics) -> dict[str, str]:
    """Return the variables that name a test's own topics."""
    return {
        "SIGNIN_KAFKA__REQUESTED_TOPIC": topics.requested,
        "SIGNIN_KAFKA__SUBMITTED_TOPIC": topics.submitted,
        "SIGNIN_KAFKA__RESULTS_TOPIC": topics.results,
        "SIGNIN_KAFKA__GROUP_ID": topics.group_id,
        "SIGNIN_TEMPORAL__TASK_QUEUE": topics.group_id,
    }


@pytest.mark.parametrize("role", ["consumer", "worker", "all"])
async def test_each_role_becomes_ready_and_stops(role: Role, served: dict[str, str], topics: Topics) -> None:
    """With real servers every role gets ready by itself, and ends when it is asked to."""
    settings, stop = load_settings(served | named(topics)), asyncio.Event()
    running = asyncio.ensure_future(run_worker(Wiring(settings), role, stop))

    async def is_ready() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.get(f"http://127.0.0.1:{settings.http.port}/readyz")
                return answer.status_code == 200
        return False

    try:
        await eventually(is_ready, "ready", within_s=30)
    finally:
        stop.set()

    await asyncio.wait_for(running, 30)


async def test_a_namespace_that_forgets_too_early_is_refused(served: dict[str, str]) -> None:
    """A replay beyond Temporal's memory could contradict an earlier outcome: 78."""
    settings = load_settings(served | {"SIGNIN_REPLAY_HORIZON_S": "100000000"})
    with pytest.raises(SettingsError, match="SIGNIN_REPLAY_HORIZON_S is 100000000"):
        await run_worker(Wiring(settings), "all", asyncio.Event())


@pytest.mark.usefixtures("served")
def test_run_ends_with_78_when_temporal_forgets_too_early(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as a command."""
    monkeypatch.setenv("SIGNIN_REPLAY_HORIZON_S", "100000000")
    code, _, errors = run("run")
    assert code == 78
    assert "SIGNIN_REPLAY_HORIZON_S is 100000000" in errors


async def test_check_ends_with_0_when_all_is_well(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    served: dict[str, str],
    mail_server: MailServer,
    siteverify: SiteverifyServer,
    dns_server: DnsServer,
) -> None:
    """Every dependency real and there, topics made by the command: a line each, all ok."""
    names = {
        f"SIGNIN_KAFKA__{name}_TOPIC": f"t-{os.urandom(6).hex()}" for name in ("REQUESTED", "SUBMITTED", "RESULTS")
    }
    places = {
        "SIGNIN_SMTP__HOST": mail_server.host,
        "SIGNIN_SMTP__PORT": str(mail_server.port),
        "SIGNIN_SMTP__SECURITY": "none",
        "SIGNIN_TURNSTILE__URL": siteverify.url,
        "SIGNIN_TURNSTILE__SECRET": SECRET,
        "SIGNIN_DNS__NAMESERVERS": dns_server.host,
        "SIGNIN_DNS__PORT": str(dns_server.port),
    }
    for name, value in (served | names | places).items():
        monkeypatch.setenv(name, value)

    assert (await asyncio.to_thread(run, "topics", "create"))[0] == 0

    code, output, _ = await asyncio.to_thread(run, "check")

    assert (code, "FAIL" in output) == (0, False)
    assert output.count("ok   ") >= 6


@pytest.mark.usefixtures("served")
def test_topics_are_created_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is created; what is there is compared."""
    names = {"REQUESTED": f"r-{os.urandom(6).hex()}", "SUBMITTED": f"s-{os.urandom(6).hex()}"}
    for name, topic in names.items():
        monkeypatch.setenv(f"SIGNIN_KAFKA__{name}_TOPIC", topic)

    code, output, _ = run("topics", "create")

    assert code == 0
    assert f"{names['REQUESTED']}.dlt: created" in output

    code, output, _ = run("topics", "create")

    assert code == 0
    assert f"{names['REQUESTED']}: exists" in output


@pytest.mark.parametrize("signin_id", ["-" + SIGNIN_ID[1:], "--" + SIGNIN_ID[2:], "-" * 22])
@pytest.mark.usefixtures("environ")
def test_an_id_that_begins_with_a_hyphen_is_no_option(run: Run, signin_id: str) -> None:
    """One in 64 ids in base64url does: it gets as far as Kafka, which is away here."""
    code, _, errors = run("submit", signin_id, "ada@example.com", "-1234 5678")
    assert (code, "Kafka is unavailable" in errors) == (69, True)


async def test_events_are_emitted_and_their_ids_printed(
    run: Run, monkeypatch: pytest.MonkeyPatch, served: dict[str, str], topics: Topics
) -> None:
    """``request`` and ``submit`` print what one needs to go on, as lines or as JSON."""
    for name, value in (served | named(topics)).items():
        monkeypatch.setenv(name, value)

    code, output, _ = await asyncio.to_thread(run, "request", "ada@example.com", "--token", "t", "--json")
    emitted = json.loads(output)

    assert (code, emitted["topic"], emitted["offset"]) == (0, topics.requested, 0)
    assert re.fullmatch("[0-9a-f]{32}", emitted["signin_id"]), "128 bit, and no option to any command line"

    code, output, _ = await asyncio.to_thread(run, "submit", emitted["signin_id"], "ada@example.com", "12345678")

    assert code == 0
    assert output.splitlines()[0] == f"signin_id {emitted['signin_id']}"
    assert output.splitlines()[1].startswith("submission_id ")
    assert "12345678" not in output
