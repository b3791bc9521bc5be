"""Child processes that never outlive this one."""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]  # has no types

from deploy.local.places import StackError, new_run_folder

_LEASH: Final = Path(__file__).with_name("leash.py")
_SHOWN_LINES: Final = 15
_STARTED_WITHIN_S: Final = 10
_POLL_S: Final = 0.05


class Child:
    """A command on a leash. It has a folder of its own, which holds its output and is removed by ``stop``."""

    def __init__(self, name: str, *, grace_s: float = 10) -> None:
        self.name = name
        self.folder = new_run_folder(name)
        self.log = self.folder / "output.log"
        self._grace_s = grace_s
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)

    @property
    def running(self) -> bool:
        """Whether the command was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def command(self) -> psutil.Process:
        """The command itself, not its leash. Raises ``StackError`` if it does not run."""
        assert self._process is not None, "it was never started"
        deadline = time.monotonic() + _STARTED_WITHIN_S

        while self.running and time.monotonic() < deadline:
            if children := psutil.Process(self._process.pid).children():
                return children[0]
            time.sleep(_POLL_S)

        raise StackError(f"{self.name} is not running.")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command alone."""
        self.command.send_signal(number)

    def kill(self) -> int:
        """Send SIGKILL; return the exit code once it has ended. The folder stays: the command may be started again."""
        assert self._process is not None, "it was never started"
        if self.running:
            self.signal(signal.SIGKILL)
        return self._process.wait()

    def start(self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
        """Start the command with ``environment``, or with this process's own if none is given."""
        leash = [sys.executable, "-I", "-S", str(_LEASH), str(self._grace_s)]
        variables = os.environ if environment is None else environment

        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*leash, *map(str, command)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(variables),
                start_new_session=True,
            )

    def wait_until(self, is_ready: Callable[[], bool], *, within_s: float) -> None:
        """Wait until ``is_ready`` returns true. Raises ``StackError`` if the command ends first or time is up."""
        deadline = time.monotonic() + within_s

        while not is_ready():
            if not self.running:
                raise StackError(f"{self.name} ended while it was starting. Its last output:\n{self.last_output()}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.name} was not ready within {within_s:g} s: is the machine very busy? "
                    f"Its last output:\n{self.last_output()}"
                )
            time.sleep(_POLL_S)

    def last_output(self) -> str:
        """Return the last lines of the command's output, indented."""
        if not self.log.exists():
            return "  (none)"

        lines = self.log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
        return "\n".join(f"  {line}" for line in lines) or "  (none)"

    def end(self) -> int:
        """Send SIGTERM, and SIGKILL after the grace time; return the exit code. The folder stays."""
        if self._process is None:
            return 0

        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._process.wait()

    def stop(self) -> None:
        """End the command and remove its folder. May be called again."""
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.stop)


def executable(name: str) -> Path:
    """Return a program that a package of this environment installed. Raises ``StackError``."""
    path = Path(sys.executable).parent / name  # not resolved: the environment's folder, not the base Python's
    if not path.exists():
        raise StackError(f"{path} is missing: install requirements/dev.txt into this environment (make test does it).")
    return path
