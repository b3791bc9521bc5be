"""A real PostgreSQL as a child process. It writes to disk as in production: fsync is on."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]  # has no types

from deploy.local.places import LOOPBACK, StackError, free_ports
from deploy.local.processes import Child
from deploy.local.server_process import READY_WITHIN_S, ServerProcess

USER: Final = "temporal"
_ORDINARY_USER: Final = Path(__file__).parents[1] / "ordinary_user.py"
_SETTINGS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "fsync": "on",  # PostgreSQL's defaults, named because the figures depend on them
    "synchronous_commit": "on",
    "full_page_writes": "on",
}
_DEBIAN: Final = Path("/usr/lib/postgresql")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)*")
_GONE_WITHIN_S: Final = 10
_WORLD_MAY_ENTER: Final = 0o001


def postgres_programs(debian: Path = _DEBIAN) -> Path:
    """Return the folder of PostgreSQL's programs: Debian's newest, or what is on the path. Raises ``StackError``."""
    folders = [program.parent for program in debian.glob("*/bin/postgres")]
    if folders:
        return max(folders, key=lambda folder: int(folder.parent.name))
    if on_path := shutil.which("postgres"):
        return Path(on_path).resolve().parent
    raise StackError(
        "PostgreSQL is not installed: on Debian and Ubuntu, install the package postgresql; on macOS, brew install "
        "postgresql. It need not be running."
    )


def postgres_version() -> str:
    """Return the version of the programs. Raises ``StackError``."""
    found = _NUMBER.search(_run([postgres_programs() / "postgres", "--version"]).stdout)
    return found[0] if found else "unknown"


class LocalPostgres(ServerProcess):
    """One server on a free port of the loopback interface. All its data goes when it stops.

    Root cannot run it: then it runs as ``nobody``.
    """

    def __init__(self) -> None:
        super().__init__("PostgreSQL")
        self.port = 0
        self._programs = postgres_programs()
        self._command: list[str | Path] = []

    def kill(self) -> None:
        """Send SIGKILL to all its processes, as if the machine had lost its power. The data stays."""
        others = self.process.command.children(recursive=True)
        self.process.kill()
        for process in others:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

        psutil.wait_procs(others, timeout=_GONE_WITHIN_S)  # a new server refuses to start beside them

    def start_again(self) -> None:
        """Start it again with its data after it was killed; return once it has recovered. Raises ``StackError``."""
        self.process.start(self._command)
        self.process.wait_until(self._answers, within_s=READY_WITHIN_S)

    def query(self, sql: str, database: str = "postgres") -> list[list[str]]:
        """Return the rows that a query gives, as text. Raises ``StackError``."""
        done = self._psql(sql, database)
        if done.returncode != 0:
            raise StackError(f"PostgreSQL refused a query: {done.stderr.strip()}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def _launch(self, child: Child) -> None:
        (self.port,) = free_ports(1)
        data = child.folder / "data"
        if os.geteuid() == 0:
            self._let_nobody_enter(child.folder)

        self._initialise(data)
        settings = {**_SETTINGS, "port": str(self.port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._command = [*_as_ordinary_user(), self._programs / "postgres", "-D", data, *options]
        self.start_again()

    def _initialise(self, data: Path) -> None:
        options = ["-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        done = _run([*_as_ordinary_user(), self._programs / "initdb", "-D", data, *options])
        if done.returncode != 0:
            raise StackError(f"PostgreSQL could not prepare its data folder:\n{done.stdout}{done.stderr}")

    def _let_nobody_enter(self, folder: Path) -> None:
        shutil.chown(folder, "nobody")
        for closed in (*_closed_to_the_world(self._programs), *_closed_to_the_world(folder.parent)):
            raise StackError(
                f"PostgreSQL does not run as root, and the user nobody cannot enter {closed}: "
                f"call chmod o+x {closed}, or run this as an ordinary user."
            )

    def _answers(self) -> bool:
        return self._psql("SELECT 1", "postgres").returncode == 0

    def _psql(self, sql: str, database: str) -> "subprocess.CompletedProcess[str]":
        where = ["-h", LOOPBACK, "-p", str(self.port), "-U", USER, "-d", database]
        return _run([self._programs / "psql", "-X", "-A", "-t", "-F", "\t", *where, "-c", sql])


def _as_ordinary_user() -> list[str | Path]:
    """Return the beginning of a command that PostgreSQL accepts."""
    return [sys.executable, "-I", "-S", _ORDINARY_USER] if os.geteuid() == 0 else []


def _closed_to_the_world(folder: Path) -> Iterator[Path]:
    for each in (folder, *folder.parents):
        if not each.stat().st_mode & _WORLD_MAY_ENTER:
            yield each


def _run(command: Sequence[str | Path]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
