"""Which version this is."""

import importlib.metadata
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import utils.version
from deploy.local.places import PROJECT
from schemas.contract import VERSION
from utils.version import own_version

DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]

Run = Callable[..., tuple[int, str, str]]


def _not_installed(name: str) -> str:
    raise importlib.metadata.PackageNotFoundError(name)


def test_the_installed_version_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version is that of the installed distribution."""
    monkeypatch.setattr("utils.version.version", lambda name: f"1.2.3 of {name}")

    assert own_version() == "1.2.3 of signin-worker"


@pytest.mark.skipif(Path(utils.version.__file__).parents[1] != PROJECT, reason="the wheel is installed")
def test_sources_have_the_version_that_they_declare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an installation, the version is that of the project file."""
    monkeypatch.setattr("utils.version.version", _not_installed)

    assert own_version() == DECLARED


@pytest.mark.usefixtures("environ")
def test_the_command_prints_the_version(run: Run) -> None:
    """``signin-worker --version`` needs no settings and no command."""
    assert run("--version") == (0, f"signin-worker {own_version()}\n", "")


def test_the_contract_has_the_version_of_the_release() -> None:
    """The AsyncAPI document names the release that it belongs to."""
    assert VERSION == DECLARED
