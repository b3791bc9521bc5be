"""Child processes end when their owner does, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.places import PROJECT, StackError, cache_folder, free_ports, new_run_folder
from deploy.local.processes import Child

_FOREVER = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]
_IGNORES_SIGTERM = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
)
_OWNER = """
import os, sys, signal
from deploy.local.processes import Child
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell starts with SIGINT ignored
child = Child("owned")
child.start([sys.executable, "-c", "import os, signal; print(os.getpid(), flush=True); signal.pause()"])
child.wait_until(lambda: bool(child.log.read_text()), within_s=20)
print(child.log.read_text(), flush=True)
signal.pause()
"""


def _wait_until(condition: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        os.sched_yield()


def _is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_command_runs_until_it_is_stopped() -> None:
    """``end`` sends SIGTERM and keeps the folder with the output; ``stop`` removes the folder."""
    child = Child("forever")
    child.start(_FOREVER)
    child.wait_until(lambda: "up" in child.last_output(), within_s=20)

    assert child.running
    assert child.end() == 128 + signal.SIGTERM
    assert child.folder.exists() and not child.running

    child.stop()
    child.stop()

    assert not child.folder.exists()
    assert child.last_output() == "  (none)"


def test_a_command_that_ignores_sigterm_is_killed() -> None:
    """SIGKILL follows SIGTERM after the grace time."""
    child = Child("deaf", grace_s=0.05)
    child.start([sys.executable, "-c", _IGNORES_SIGTERM])
    child.wait_until(lambda: "up" in child.last_output(), within_s=20)
    assert child.end() == 128 + signal.SIGKILL
    child.stop()


def test_a_command_that_ends_early_is_an_error() -> None:
    """The error contains the last output of the command."""
    child = Child("broken")
    child.start([sys.executable, "-c", "print('no such thing'); raise SystemExit(3)"])
    with pytest.raises(StackError, match="broken ended while it was starting(.|\n)*no such thing"):
        child.wait_until(lambda: False, within_s=20)
    assert child.end() == 3
    child.stop()


def test_a_command_that_is_never_ready_is_an_error() -> None:
    """The error names the deadline."""
    child = Child("slow")
    child.start(_FOREVER)
    with pytest.raises(StackError, match="slow was not ready within 0.01 s"):
        child.wait_until(lambda: False, within_s=0.01)
    child.stop()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_command_does_not_outlive_its_owner(ending: signal.Signals) -> None:
    """However the owner ends, the command ends as well, and the next run removes its folder."""
    owner = subprocess.Popen([sys.executable, "-c", _OWNER], stdout=subprocess.PIPE, text=True, cwd=PROJECT)

    assert owner.stdout is not None

    pid = int(owner.stdout.readline())

    assert _is_alive(pid)

    owner.send_signal(ending)
    owner.wait()
    owner.stdout.close()
    _wait_until(lambda: not _is_alive(pid))
    new_run_folder("next").rmdir()

    assert not [folder for folder in (cache_folder() / "run").iterdir() if folder.name.startswith(f"{owner.pid}-")]


def test_run_folders_without_a_living_owner_are_removed() -> None:
    """Folders of living processes are kept; a folder without an owner in its name is removed."""
    mine = new_run_folder("mine")
    stray = cache_folder() / "run" / "stray"
    stray.mkdir()
    of_init = cache_folder() / "run" / "1-init"
    of_init.mkdir()
    new_run_folder("other").rmdir()

    assert mine.exists() and of_init.exists() and not stray.exists()

    mine.rmdir()
    of_init.rmdir()


def test_free_ports_differ() -> None:
    """The ports are as many as requested, and none occurs twice."""
    assert len(set(free_ports(5))) == 5
