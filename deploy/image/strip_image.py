"""Remove what a worker does not need from the file system that it will live in. Runs in the image's build, as root.

What stays: Python, ``env`` (it keeps a SIGTERM that comes during the start), libraries, certificates, and the list of
installed packages, which scanners read. What goes: shells, package managers, every other program, setuid bits.
"""

import shutil
import stat
from pathlib import Path
from typing import Final

PROGRAMS: Final = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
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
    for folder in map(root.joinpath, (name.lstrip("/") for name in PROGRAMS)):
        for program in [] if folder.is_symlink() or not folder.is_dir() else folder.iterdir():
            if not program.name.startswith(KEPT) or program.name.endswith("config"):
                _remove(program)
    for name in FOLDERS:
        _remove(root / name.lstrip("/"))
    for pattern in INSTALLERS:
        for found in root.glob(f"usr/**/{pattern}"):
            _remove(found)
    for file in (root / "usr").rglob("*"):
        if not file.is_symlink() and file.stat().st_mode & (stat.S_ISUID | stat.S_ISGID) and file.is_file():
            file.chmod(file.stat().st_mode & 0o777)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    strip(Path("/"))
