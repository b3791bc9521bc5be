"""The licence travels with everything that is published."""

import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import Final

import pytest

from deploy.local.places import PROJECT

PACKAGES: Final = ("consumers", "workflows", "activities", "schemas", "utils")
_TEXT: Final = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""SHA-256 of https://www.apache.org/licenses/LICENSE-2.0.txt, which GitHub and scanners recognise."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build wheel and sdist; return their folder."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=PROJECT, check=True, timeout=240)
    return folder


def test_the_licence_is_apache_2_in_full() -> None:
    """The text is that of the Apache Software Foundation, unchanged."""
    assert hashlib.sha256((PROJECT / "LICENSE").read_bytes()).hexdigest() == _TEXT


def test_the_project_names_its_licence() -> None:
    """The project file names it as an SPDX expression (PEP 639), with its file."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]

    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]


def test_the_wheel_holds_the_licence_and_its_types(built: Path) -> None:
    """The wheel's metadata names the licence, the text is inside, and each package is marked as typed (PEP 561)."""
    (file,) = built.glob("*.whl")
    wheel = zipfile.ZipFile(file)
    (info,) = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    metadata = message_from_bytes(wheel.read(f"{info}/METADATA"))

    assert metadata["License-Expression"] == "Apache-2.0"
    assert f"{info}/licenses/LICENSE" in wheel.namelist()
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(wheel.namelist())


def test_the_source_distribution_can_be_built_from(built: Path, tmp_path: Path) -> None:
    """The sdist holds the licence, and the wheel that is built from it has the files of the first one."""
    (file,) = built.glob("*.tar.gz")
    shutil.unpack_archive(file, tmp_path)  # Python 3.11.2 knows no ``filter``
    (sources,) = tmp_path.iterdir()

    assert (sources / "LICENSE").read_bytes() == (PROJECT / "LICENSE").read_bytes()
    assert not list(sources.rglob(".cache"))

    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "again")]
    subprocess.run(command, cwd=sources, check=True, timeout=240)
    (again,) = (tmp_path / "again").glob("*.whl")
    (first,) = built.glob("*.whl")

    assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(first).namelist()


def test_the_image_holds_the_licence() -> None:
    """The build of the image sees the text, and the image names its licence."""
    dockerfile = (PROJECT / "deploy" / "image" / "Dockerfile").read_text()

    assert "!LICENSE" in (PROJECT / ".dockerignore").read_text().splitlines()
    assert re.search(r"^COPY .*\bLICENSE\b.* \./$", dockerfile, re.MULTILINE)
    assert 'LABEL org.opencontainers.image.licenses="Apache-2.0"' in dockerfile
