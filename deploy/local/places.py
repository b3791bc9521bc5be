"""Where the local stack may write, and on which ports it may listen."""

import contextlib
import os
import random
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[2]
LOOPBACK: Final = "127.0.0.1"
_LOW_PORTS: Final = range(10_000, 32_768)


class StackError(Exception):
    """Raised when a part of the local stack cannot run. The text is a sentence that says what to do."""


def cache_folder() -> Path:
    """Return the project's ``.cache``, which is created if necessary."""
    folder = PROJECT / ".cache"
    folder.mkdir(exist_ok=True)
    return folder


def new_run_folder(name: str) -> Path:
    """Create a folder for one run of one server. Folders of processes that no longer exist are removed first."""
    runs = cache_folder() / "run"
    runs.mkdir(exist_ok=True)

    for folder in runs.iterdir():
        if not _owner_is_alive(folder):
            shutil.rmtree(folder, ignore_errors=True)

    return Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-{name}-", dir=runs))


def free_ports(count: int) -> list[int]:
    """Return different ports that are free now. Another process may take one before it is used: then try again."""
    sockets = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    try:
        return [int(held.getsockname()[1]) for held in sockets]
    finally:
        for held in sockets:
            held.close()


def free_low_ports(count: int) -> list[int]:
    """Return different free ports below those that the system gives to clients, and below 32,768."""
    sockets = list[socket.socket]()
    try:
        for port in random.sample(_LOW_PORTS, len(_LOW_PORTS)):
            with contextlib.suppress(OSError):
                sockets.append(socket.create_server((LOOPBACK, port)))
            if len(sockets) == count:
                break
        return [int(held.getsockname()[1]) for held in sockets]
    finally:
        for held in sockets:
            held.close()


def _owner_is_alive(folder: Path) -> bool:
    owner = folder.name.split("-")[0]
    if not owner.isdigit():
        return False

    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True

    return True
