"""The SDK's runtime, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_COUNTED = """
import os, time
from utils.temporal.workers import SdkTelemetry

def threads():
    names = (open(f"/proc/self/task/{one}/comm").read() for one in os.listdir("/proc/self/task"))
    return sum(name.startswith("tokio-rt-worker") for name in names)

telemetry, since = SdkTelemetry(), time.monotonic()
while not threads() and time.monotonic() < since + 10:
    time.sleep(0.01)
time.sleep(0.2)
print(threads())
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted as Linux shows them")
@pytest.mark.parametrize(("told", "there"), [({}, "1"), ({"TOKIO_WORKER_THREADS": "3"}, "3")])
def test_the_runtime_has_one_thread_unless_told_otherwise(told: dict[str, str], there: str) -> None:
    """By default it has one for every core: they wake each other while Python can use one."""
    environment = {name: value for name, value in os.environ.items() if name != "TOKIO_WORKER_THREADS"} | told
    output = subprocess.run(
        [sys.executable, "-c", _COUNTED], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert output.stdout.strip() == there
