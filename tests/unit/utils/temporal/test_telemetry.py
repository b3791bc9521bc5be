"""The SDK's runtime and its metrics."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from utils.temporal.telemetry import SdkTelemetry, _free_port

_COUNT_THREADS = """
import os, time
from utils.temporal.telemetry import SdkTelemetry

def threads():
    names = (open(f"/proc/self/task/{one}/comm").read() for one in os.listdir("/proc/self/task"))
    return sum(name.startswith("tokio-rt-worker") for name in names)

telemetry = SdkTelemetry()
since = time.monotonic()
while not threads() and time.monotonic() < since + 10:
    time.sleep(0.01)
time.sleep(0.2)
print(threads())
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted as Linux shows them")
@pytest.mark.parametrize(("variables", "threads"), [({}, "1"), ({"TOKIO_WORKER_THREADS": "3"}, "3")])
def test_the_runtime_has_one_thread_by_default(variables: dict[str, str], threads: str) -> None:
    """The runtime has one thread, not one for each core, unless ``TOKIO_WORKER_THREADS`` sets another number."""
    environment = {name: value for name, value in os.environ.items() if name != "TOKIO_WORKER_THREADS"}
    output = subprocess.run(
        [sys.executable, "-c", _COUNT_THREADS],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert output.stdout.strip() == threads


def test_unreadable_metrics_are_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics that cannot be read do not keep the worker from serving its own."""
    telemetry = SdkTelemetry()
    monkeypatch.setattr(telemetry, "_port", 1)
    assert telemetry.metrics() == b""


@pytest.fixture
def taken() -> Iterator[int]:
    """Yield a port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_another_process_takes_first_is_replaced(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """If the port is in use by the time the SDK binds to it, another one is tried."""
    ports = iter([taken, taken])
    monkeypatch.setattr("utils.temporal.telemetry._free_port", lambda: next(ports, None) or _free_port())
    assert b"# EOF" not in SdkTelemetry().metrics()
    assert next(ports, None) is None


def test_without_a_free_port_the_runtime_gives_up(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """The search for a free port ends after a few tries."""
    monkeypatch.setattr("utils.temporal.telemetry._free_port", lambda: taken)
    with pytest.raises(ValueError, match="in use"):
        SdkTelemetry()
