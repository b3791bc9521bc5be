"""What is known about a release before it is published."""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.release.changelog import ReleaseError, notes
from deploy.release.contract import Repository, comparisons
from deploy.release.versions import Version, image_tags, parse_version, version_of
from schemas.contract import json_schemas

CHANGELOG = """\
# Changelog

## [Unreleased]

- Not out yet.

## [1.1.0] - 2026-12-01

### Added

- A thing.

## [1.0.0] - 2026-11-01

## [0.9.0]: soon

- Early.
"""
EVENT = "otp.rejected"


def test_the_notes_are_the_section_of_the_release() -> None:
    """The notes hold neither the heading nor the next section."""
    assert notes(CHANGELOG, "1.1.0") == "### Added\n\n- A thing.\n"


@pytest.mark.parametrize(
    ("version", "reason"),
    [("2.0.0", "has no section"), ("0.9.0", "YYYY-MM-DD"), ("1.0.0", "says nothing"), ("Unreleased", "YYYY-MM-DD")],
)
def test_a_release_without_notes_is_refused(version: str, reason: str) -> None:
    """A missing, undated or empty section stops the release."""
    with pytest.raises(ReleaseError, match=reason):
        notes(CHANGELOG, version)


def test_the_tag_must_be_the_version_of_the_project(tmp_path: Path) -> None:
    """A tag that differs from the project file stops the release before anything is built."""
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')

    assert version_of("v1.2.3", tmp_path) == Version(1, 2, 3)
    with pytest.raises(ReleaseError, match=r"v1\.2\.4.*1\.2\.3"):
        version_of("v1.2.4", tmp_path)


@pytest.mark.parametrize("tag", ["v1.2", "v1.2.3-rc1", "v01.2.3", "1.2.3.4", "latest", ""])
def test_only_three_numbers_are_a_version(tag: str) -> None:
    """Candidates and shorthands are no releases."""
    with pytest.raises(ReleaseError):
        parse_version(tag)


@pytest.mark.parametrize(
    ("version", "released", "tags"),
    [
        ("1.2.3", [], ["1.2.3", "1.2", "1", "latest"]),
        ("1.2.3", ["1.2.2", "1.1.9"], ["1.2.3", "1.2", "1", "latest"]),
        ("1.2.3", ["1.2.3"], ["1.2.3", "1.2", "1", "latest"]),
        ("1.1.5", ["1.2.0"], ["1.1.5", "1.1"]),
        ("1.2.4", ["2.0.0"], ["1.2.4", "1.2", "1"]),
        ("1.2.3", ["1.2.10"], ["1.2.3"]),
        ("0.1.0", [], ["0.1.0", "0.1", "latest"]),
    ],
)
def test_an_image_gets_the_tags_of_its_line(version: str, released: list[str], tags: list[str]) -> None:
    """A patch of an older line does not take the tags of a newer one."""
    assert list(image_tags(parse_version(version), map(parse_version, released))) == tags


class Project:
    """A repository with a version and a contract."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *arguments: str) -> str:
        """Call git as somebody."""
        who = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(self.folder), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, version: str, contract: Mapping[str, Any], tag: str = "") -> str:
        """Commit this version with this contract, perhaps with a tag; return the commit."""
        (self.folder / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
        for event, schema in contract.items():
            file = self.folder / "docs" / "schemas" / f"{event}.schema.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(schema))

        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", version)
        if tag:
            self.git("tag", tag)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give an empty repository."""
    return Project(tmp_path)


@pytest.fixture
def broken() -> Mapping[str, Any]:
    """Give a contract of which today's breaks a promise: it had an event that is gone."""
    return {**json_schemas(), "signin.gone": json_schemas()[EVENT]}


Since = Callable[..., list[tuple[str, bool, bool]]]


@pytest.fixture
def since(project: Project) -> Since:
    """Give a function that compares, and returns commit, whether something broke, and whether it may."""

    def compare(before: str = "") -> list[tuple[str, bool, bool]]:
        found = comparisons(Repository(project.folder), json_schemas(), before)
        return [(each.since, bool(each.changes), each.is_new_major) for each in found]

    return compare


def test_without_a_release_there_is_nothing_to_compare(project: Project, since: Since) -> None:
    """The first release has no contract before it."""
    project.commit("0.1.0", json_schemas(), tag="v0.1.0")

    assert since() == []


@pytest.mark.parametrize("before", ["", "0" * 40])
def test_tags_and_dispatches_compare_with_the_last_release(
    project: Project, since: Since, broken: Mapping[str, Any], before: str
) -> None:
    """They have no commit before them, and still a broken promise is seen. The tag itself does not count."""
    project.commit("1.0.0", broken, tag="v1.0.0")
    project.commit("1.1.0", json_schemas(), tag="v1.1.0")

    assert since(before) == [("v1.0.0", True, False)]


def test_a_promise_of_the_last_release_cannot_be_broken_in_two_steps(
    project: Project, since: Since, broken: Mapping[str, Any]
) -> None:
    """The commit before may have broken it already; the release is compared with, too."""
    project.commit("1.0.0", broken, tag="v1.0.0")
    before = project.commit("1.0.0", json_schemas())
    project.git("rm", "--quiet", "docs/schemas/signin.gone.schema.json")
    before = project.commit("1.0.0", json_schemas())
    project.commit("1.0.0", json_schemas())

    assert since(before) == [("v1.0.0", True, False), (before, False, False)]


def test_a_new_major_version_may_break_promises(project: Project, since: Since, broken: Mapping[str, Any]) -> None:
    """The change is shown and allowed."""
    project.commit("1.9.0", broken, tag="v1.9.0")
    project.commit("2.0.0", json_schemas())

    assert since() == [("v1.9.0", True, True)]


def test_the_newest_release_counts(project: Project, since: Since) -> None:
    """Versions are compared as numbers, and tags that are no versions do not count."""
    for version in ("1.9.0", "1.10.0"):
        project.commit(version, json_schemas(), tag=f"v{version}")
    for tag in ("vendored", "v9-candidate"):
        project.git("tag", tag)
    project.commit("1.10.0", json_schemas())

    assert since() == [("v1.10.0", False, False)]
    assert Repository(project.folder).releases() == {"v1.9.0": Version(1, 9, 0), "v1.10.0": Version(1, 10, 0)}
