"""The modules that are measured."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deploy.local.places import PROJECT

PACKAGES: Final = ("consumers", "workflows", "activities", "schemas", "utils", "deploy", "examples")


def product() -> Iterator[Path]:
    """Yield every module of the worker and of what is deployed with it."""
    yield from PROJECT.glob("*.py")
    for package in PACKAGES:
        yield from sorted((PROJECT / package).rglob("*.py"))


def tests() -> Iterator[Path]:
    """Yield every module of the tests."""
    yield from sorted((PROJECT / "tests").rglob("*.py"))
