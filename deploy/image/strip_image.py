"""Remove what a worker does not need from the image's file system. Runs as root while the image is built.

Kept are Python, ``env`` (it blocks a SIGTERM during the start), libraries, certificates,
and the list of installed packages, which scanners read. Removed are shells, package
managers, all other programs, and setuid bits.
"""

import shutil
import stat
from pathlib import Path
from typing import Final

PROGRAM_FOLDERS: Final = (
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
)
KEPT: Final = ("env", "python")
FOLDERS: Final = (
    "/usr/lib/apt",
    "/usr/lib/dpkg",
    "/usr/share/doc",
    "/usr/share/man",
    "/usr/share/perl5",
    "/var/cache",
    "/var/lib/apt",
    "/var/log",
    "/root",
)
INSTALLERS: Final = ("pip", "pip-*", "ensurepip", "setuptools", "setuptools-*")


def strip(root: Path) -> None:
    """Strip the file system below ``root``."""
    for name in PROGRAM_FOLDERS:
        _remove_programs(root / name.lstrip("/"))

    for name in FOLDERS:
        _remove(root / name.lstrip("/"))

    for pattern in INSTALLERS:
        for installer in root.glob(f"usr/**/{pattern}"):
            _remove(installer)

    for path in (root / "usr").rglob("*"):
        if _is_privileged(path):
            path.chmod(path.stat().st_mode & 0o777)


def _remove_programs(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        return

    for program in folder.iterdir():
        if not program.name.startswith(KEPT) or program.name.endswith("config"):
            _remove(program)


def _is_privileged(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    return bool(path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    strip(Path("/"))
