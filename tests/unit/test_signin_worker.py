"""``signin-worker run``: roles, readiness, and how the process ends."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

import signin_worker
from deploy.local.places import LOOPBACK, PROJECT
from deploy.local.topics import Topics
from deploy.local.waiting import eventually
from signin_worker import STOP_WITHIN_S, Role, run_worker
from utils.endpoints import GRACEFUL_SHUTDOWN_S, CannotListen
from utils.kafka.topics import create_topics, look_up_topics
from utils.process import CLOSE_TIMEOUT_S, StopRequested
from utils.settings.loading import Settings, SettingsError, load_settings
from utils.wiring import Wiring

Run = Callable[..., tuple[int, str, str]]


_SIGTERM_DURING_IMPORTS = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.kill(os.getpid(), signal.SIGTERM)
from signin_worker import main
main()
"""


@pytest.fixture
def wiring(environ: dict[str, str]) -> Wiring:
    """Return the wiring of an environment in which nothing answers."""
    return Wiring(load_settings(environ))


@pytest.mark.parametrize(("argument", "status"), [("--help", 0), ("nonsense", 64)])
def test_main_exits_with_the_commands_code(monkeypatch: pytest.MonkeyPatch, argument: str, status: int) -> None:
    """The process ends with the exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["signin-worker", argument])
    monkeypatch.setattr(signin_worker, "exit_now", sys.exit)

    with pytest.raises(SystemExit) as left:
        signin_worker.main()

    assert (left.value.code or 0) == status


@pytest.mark.usefixtures("environ")
def test_a_bug_ends_with_70(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nothing handles is logged, and the command ends with 70."""

    def broken(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(signin_worker, "configure_logging", broken)
    assert run("run")[0] == 70


@pytest.mark.usefixtures("environ")
def test_run_ends_with_78_when_it_cannot_listen(run: Run) -> None:
    """If its port is taken, the command ends with 78 and names the setting."""
    with socket.create_server((LOOPBACK, int(os.environ["SIGNIN_HTTP__PORT"]))):
        code, _, errors = run("run")

    assert code == 78
    assert "SIGNIN_HTTP__PORT" in errors


@pytest.mark.usefixtures("environ")
def test_run_ends_with_78_when_temporals_settings_are_unusable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing profile is a wrong setting, not an outage."""
    monkeypatch.setenv("TEMPORAL_PROFILE", "no-such-profile")
    code, _, errors = run("run")
    assert code == 78
    assert "TEMPORAL_" in errors


def test_run_waits_for_temporal_and_stops_on_sigterm(environ: dict[str, str]) -> None:
    """While Temporal is away, the process is alive but not ready. SIGTERM ends it with 0."""
    command = [sys.executable, "-m", "signin_worker", "run"]
    with subprocess.Popen(command, cwd=PROJECT, env=os.environ | environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        with contextlib.closing(process.stderr) as lines:
            assert any("waiting for a dependency" in line for line in lines)

            _assert_alive_but_not_ready(f"http://{LOOPBACK}:{environ['SIGNIN_HTTP__PORT']}")
            process.terminate()

            assert any('"stopped"' in line for line in lines)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("command", "status"), [("run", 0), ("check", 143), ("status --watch", 143), ("topics create", 143)]
)
def test_a_sigterm_during_the_imports_counts(environ: dict[str, str], command: str, status: int) -> None:
    """The image blocks it until there is a handler: ``run`` ends cleanly, and other commands at once."""
    arguments = [sys.executable, "-c", _SIGTERM_DURING_IMPORTS, *command.split()]
    ended = subprocess.run(arguments, cwd=PROJECT, env=os.environ | environ, capture_output=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (status, b"")


def _assert_alive_but_not_ready(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/livez").status_code == 200
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["missing"]) == (503, ["Temporal: not reached yet"])
        assert b"signin_consumer_in_flight" in client.get("/metrics").content


def test_run_ends_with_0_on_sigterm(run: Run, environ: dict[str, str]) -> None:
    """SIGTERM is a clean end."""
    with _terminated_once_alive(int(environ["SIGNIN_HTTP__PORT"])):
        code, output, errors = run("run", "--role", "worker")

    assert (code, output) == (0, "")
    assert "asked to stop" in errors


@pytest.mark.usefixtures("production")
def test_the_codec_server_ends_with_0_on_sigterm(
    run: Run, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves until SIGTERM, and needs no settings but its own and the payload keys."""
    port = int(environ["SIGNIN_HTTP__PORT"])
    monkeypatch.setenv("SIGNIN_CODEC_SERVER__PORT", str(port))
    monkeypatch.setenv("SIGNIN_CODEC_SERVER__TOKEN", "t" * 32)

    with _terminated_once_alive(port):
        code, output, errors = run("codec-server")

    assert (code, output) == (0, "")
    assert "codec-server" in errors


@contextlib.contextmanager
def _terminated_once_alive(port: int) -> Iterator[None]:
    """Send SIGTERM to this process once something listens on the port."""
    caught = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    terminator = threading.Thread(target=_terminate_once_alive, args=[port])
    terminator.start()

    try:
        yield
    finally:
        terminator.join()
        signal.signal(signal.SIGTERM, caught)


def _terminate_once_alive(port: int) -> None:
    with contextlib.suppress(httpx.HTTPError):
        transport = httpx.HTTPTransport(retries=10)
        with httpx.Client(transport=transport, trust_env=False) as client:
            client.get(f"http://{LOOPBACK}:{port}/livez")
    os.kill(os.getpid(), signal.SIGTERM)


async def test_the_worker_does_not_run_without_its_port(wiring: Wiring) -> None:
    """``CannotListen`` is raised if the port of the endpoints is taken."""
    with socket.create_server((LOOPBACK, wiring.settings.http.port)):
        with pytest.raises(CannotListen):
            await run_worker(wiring, "all", asyncio.Event())


async def test_the_worker_can_be_stopped_while_it_waits_for_temporal(wiring: Wiring) -> None:
    """``StopRequested`` is raised if the process is asked to stop before Temporal answers."""
    stop = asyncio.Event()
    stop.set()

    with pytest.raises(StopRequested):
        await run_worker(wiring, "all", stop)


@pytest.mark.parametrize("role", ["consumer", "worker", "all"])
async def test_each_role_becomes_ready_and_stops(role: Role, served: dict[str, str], topics: Topics) -> None:
    """With real servers, each role becomes ready and ends when it is asked to."""
    settings = load_settings(served | topics.settings())
    stop = asyncio.Event()
    running = asyncio.ensure_future(run_worker(Wiring(settings), role, stop))

    try:
        await eventually(lambda: _is_ready(settings), "ready", within_s=30)
    finally:
        stop.set()

    await asyncio.wait_for(running, 30)


@pytest.mark.parametrize("role", ["consumer", "worker", "all"])
async def test_run_waits_for_topics_that_are_missing(role: Role, served: dict[str, str]) -> None:
    """It creates none, names those that it needs and the command that creates them, and becomes ready with them."""
    topics = Topics.fresh("missing")
    settings = load_settings(served | topics.settings())
    wiring = Wiring(settings)
    needed = wiring.kafka_needs(consumes=role != "worker", publishes=role != "consumer").topics
    missing = f"Kafka: these topics are missing: {', '.join(needed)}. Run signin-worker topics create."
    stop = asyncio.Event()
    running = asyncio.ensure_future(run_worker(wiring, role, stop))

    async def says_what_is_missing() -> bool:
        return missing in await _missing(settings)

    try:
        await eventually(says_what_is_missing, "the topics are named", within_s=30)
        assert await look_up_topics(wiring.kafka_access, list(wiring.topics)) == {}

        await create_topics(wiring.kafka_access, wiring.topic_plans)
        await eventually(lambda: _is_ready(settings), "ready", within_s=30)
    finally:
        stop.set()

    await asyncio.wait_for(running, 30)


async def test_run_waits_for_certificates_that_cannot_be_used(served: dict[str, str], tmp_path: Path) -> None:
    """It neither ends nor becomes ready, and names the file. Only a file that is not there ends it, with 78."""
    cafile = tmp_path / "ca.pem"
    cafile.write_text("half a certifi")
    tls = {"SIGNIN_KAFKA__SECURITY_PROTOCOL": "SSL", "SIGNIN_KAFKA__SSL_CAFILE": str(cafile)}
    settings = load_settings(served | tls)
    stop = asyncio.Event()
    running = asyncio.ensure_future(run_worker(Wiring(settings), "all", stop))

    async def names_the_file() -> bool:
        assert not running.done()
        return any(str(cafile) in problem for problem in await _missing(settings))

    try:
        await eventually(names_the_file, "the file is named", within_s=30)
    finally:
        stop.set()

    await asyncio.wait_for(running, 30)


async def _is_ready(settings: Settings) -> bool:
    return await _missing(settings) == []


async def _missing(settings: Settings) -> list[str]:
    with contextlib.suppress(httpx.HTTPError):
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://{LOOPBACK}:{settings.http.port}/readyz")
            missing: list[str] = answer.json()["missing"]
            assert answer.status_code == (503 if missing else 200)
            return missing
    return ["no answer"]


async def test_a_namespace_that_forgets_too_early_is_refused(served: dict[str, str]) -> None:
    """A replay beyond the namespace's retention could contradict an earlier outcome, so the worker does not run."""
    settings = load_settings(served | {"SIGNIN_REPLAY_HORIZON_S": "30000000"})
    with pytest.raises(SettingsError, match="SIGNIN_REPLAY_HORIZON_S is 30000000"):
        await run_worker(Wiring(settings), "all", asyncio.Event())


@pytest.mark.usefixtures("served")
def test_run_ends_with_78_when_temporal_forgets_too_early(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command names the setting that is above the namespace's retention."""
    monkeypatch.setenv("SIGNIN_REPLAY_HORIZON_S", "30000000")
    code, _, errors = run("run")
    assert code == 78
    assert "SIGNIN_REPLAY_HORIZON_S is 30000000" in errors


def test_everything_that_hangs_at_the_end_takes_less_than_30_seconds() -> None:
    """README promises 30 s: the services, four clients and the tracing one after the other, and the endpoints."""
    clients_and_tracing = 5 * CLOSE_TIMEOUT_S

    assert STOP_WITHIN_S + clients_and_tracing + GRACEFUL_SHUTDOWN_S <= 30
