"""The published contract, compared with that of the last release and with what was there before."""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from deploy.release.changelog import ReleaseError
from deploy.release.versions import Version, declared_version, parse_version
from schemas.compatibility import breaking_changes

_FOLDER: Final = "docs/schemas"
_SUFFIX: Final = ".schema.json"
Contract = Mapping[str, Any]
"""The JSON Schema of each event, by its name."""


class Comparison(NamedTuple):
    """What changed since a commit, and whether that is allowed."""

    since: str
    changes: list[str]
    is_new_major: bool


class Repository:
    """The project's commits and tags."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def releases(self, *options: str) -> Mapping[str, Version]:
        """Return the version of every tag that names one."""
        found = {}
        for tag in self._git("tag", "--list", "v*", *options).split():
            with contextlib.suppress(ReleaseError):
                found[tag] = parse_version(tag)

        return found

    def last_release(self) -> str | None:
        """Return the tag of the newest release before this commit, or None."""
        here = self.releases("--points-at", "HEAD")
        earlier = {tag: each for tag, each in self.releases("--merged", "HEAD").items() if tag not in here}

        return max(earlier, key=earlier.__getitem__, default=None)

    def knows(self, commit: str) -> bool:
        """Tell whether a commit exists here. A new branch, a tag and a dispatch have none before them."""
        command = ["git", "-C", str(self._folder), "cat-file", "-e", f"{commit}^{{commit}}"]
        return bool(commit) and subprocess.run(command, capture_output=True, check=False).returncode == 0

    def contract(self, commit: str) -> Contract:
        """Return the contract at a commit; empty if there was none."""
        names = self._git("ls-tree", "--name-only", commit, f"{_FOLDER}/").split()
        schemas = [name for name in names if name.endswith(_SUFFIX)]

        return {_event(name): json.loads(self._git("show", f"{commit}:{name}")) for name in schemas}

    def version(self, commit: str) -> Version:
        """Return the version that the project had at a commit."""
        return declared_version(self._git("show", f"{commit}:pyproject.toml"))

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self._folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def comparisons(repository: Repository, contract: Contract, before: str = "") -> Iterator[Comparison]:
    """Compare with the last release, and with ``before`` if that is a commit."""
    release = repository.last_release()
    commits = [each for each in (release, before) if each is not None and repository.knows(each)]
    now = repository.version("HEAD")

    for commit in commits:
        earlier = repository.contract(commit)
        changes = list(breaking_changes(earlier, contract))
        yield Comparison(commit, changes, now.major > repository.version(commit).major)


def _event(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(_SUFFIX)
