"""Which version this is: of the installed distribution, or of the sources that run without an installation."""

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

NAME: Final = "signin-worker"
_PROJECT: Final = Path(__file__).resolve().parents[1] / "pyproject.toml"


def own_version() -> str:
    """Return the version."""
    try:
        return version(NAME)
    except PackageNotFoundError:
        return str(tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["version"])
