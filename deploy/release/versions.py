"""Versions, as in https://semver.org, and the names under which an image is found."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from deploy.release.changelog import ReleaseError

_NUMBER: Final = r"(0|[1-9]\d*)"
_VERSION: Final = re.compile(rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}")


class Version(NamedTuple):
    """A version without anything behind the third number."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return ".".join(map(str, self))


def parse_version(text: str) -> Version:
    """Return the version that a tag or a project file names. Raises ``ReleaseError`` if it is none."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ReleaseError(f"{text} is no version: tag a release as v1.2.3.")
    return Version(*map(int, match.groups()))


def declared_version(project: str) -> Version:
    """Return the version in the text of a ``pyproject.toml``."""
    return parse_version(tomllib.loads(project)["project"]["version"])


def version_of(tag: str, folder: Path) -> Version:
    """Return the version that a tag releases. Raises ``ReleaseError`` if the project file has another one."""
    version = parse_version(tag)
    declared = declared_version((folder / "pyproject.toml").read_text(encoding="utf-8"))
    if version != declared:
        raise ReleaseError(f"The tag is {tag}, but pyproject.toml says {declared}: correct one of them.")
    return version


def image_tags(version: Version, released: Iterable[Version]) -> Iterator[str]:
    """Yield the tags that an image of this version gets.

    A patch for an older line does not take the tags of a newer one: ``1.1.5`` does not become
    ``1`` once ``1.2.0`` is out. There is no tag ``0``: below 1.0 any version may break.
    """
    others = [each for each in released if each > version]
    yield str(version)

    if not any(each[:2] == version[:2] for each in others):
        yield f"{version.major}.{version.minor}"
    if version.major and not any(each.major == version.major for each in others):
        yield str(version.major)
    if not others:
        yield "latest"
