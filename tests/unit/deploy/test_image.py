"""The image is built from the wheel's sources and contains no unnecessary programs."""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from deploy.local.places import PROJECT
from deploy.image.strip_image import strip

_PARTS = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
    "only-include"
]


@pytest.mark.parametrize("part", [*_PARTS, "pyproject.toml", "README.md", "requirements"])
def test_each_source_reaches_the_build(part: str) -> None:
    """Each source is part of Docker's context and is copied; a forgotten package would be missing in the image."""
    copied = {
        word.rstrip("/")
        for line in (PROJECT / "deploy" / "image" / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    shown = (line.removeprefix("!") for line in (PROJECT / ".dockerignore").read_text().splitlines())

    assert any(fnmatchcase(part, pattern) for pattern in shown if pattern != "*")
    assert any(fnmatchcase(part, pattern) for pattern in copied)


def test_only_python_and_env_are_kept(tmp_path: Path) -> None:
    """Shells, package managers and setuid bits are removed; libraries, certificates and the package list are kept."""
    removed = ["usr/bin/sh", "usr/bin/perl", "usr/sbin/useradd", "usr/local/bin/pip3", "usr/local/bin/python3-config"]
    removed += ["usr/lib/dpkg/methods/apt", "usr/local/lib/python3.13/ensurepip/__init__.py"]
    kept = ["usr/bin/env", "usr/local/bin/python3.13", "usr/lib/libc.so.6", "var/lib/dpkg/status"]
    kept += ["etc/ssl/certs/ca-certificates.crt", "usr/local/lib/python3.13/site-packages/README"]
    for name in removed + kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "usr/bin/python3").symlink_to("python3.13")
    (tmp_path / "usr/lib/libc.so.6").chmod(0o4755)
    strip(tmp_path)

    assert [name for name in removed if (tmp_path / name).exists()] == []
    assert [name for name in kept if not (tmp_path / name).exists()] == []
    assert (tmp_path / "usr/bin/python3").is_symlink()
    assert (tmp_path / "usr/lib/libc.so.6").stat().st_mode & 0o7777 == 0o755
