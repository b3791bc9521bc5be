"""The image is built from what the wheel is built from."""

import tomllib
from fnmatch import fnmatchcase

import pytest

from deploy.local.places import PROJECT

_PARTS = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
    "only-include"
]


@pytest.mark.parametrize("part", [*_PARTS, "pyproject.toml", "README.md", "requirements"])
def test_each_part_reaches_the_build(part: str) -> None:
    """Docker is shown the part, and the build copies it: a package that is forgotten here would miss in the image."""
    copied = {
        word.rstrip("/")
        for line in (PROJECT / "deploy" / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    shown = (line.removeprefix("!") for line in (PROJECT / ".dockerignore").read_text().splitlines())
    assert any(fnmatchcase(part, pattern) for pattern in shown if pattern != "*")
    assert any(fnmatchcase(part, pattern) for pattern in copied)
