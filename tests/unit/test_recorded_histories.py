"""What was recorded for a release stays as it was: it is what that release left in people's mailboxes."""

from pathlib import Path

import pytest

from tests.histories.digests import SUMS, changed_since, digests, is_released, releases


@pytest.mark.parametrize("folder", releases(), ids=lambda folder: folder.name)
def test_recorded_histories_never_change(folder: Path) -> None:
    """None is changed, added or removed: ``make histories`` writes the digests together with the histories."""
    assert (folder / SUMS).read_text() == digests(folder)


def test_a_changed_history_is_noticed(tmp_path: Path) -> None:
    """So is one that is missing, and one more."""
    (tmp_path / "accepted.json").write_text("{}")
    before = digests(tmp_path)

    (tmp_path / "accepted.json").write_text("{ }")
    assert digests(tmp_path) != before

    (tmp_path / "accepted.json").write_text("{}")
    (tmp_path / "another.json").write_text("{}")
    assert digests(tmp_path) != before


@pytest.mark.parametrize(
    ("heading", "changed"), [("## [0.1.0] - 2026-12-01", ["0.1.0"]), ("## [Unreleased]: 0.1.0", [])]
)
def test_what_a_released_version_recorded_is_compared_with_the_state_before(
    tmp_path: Path, heading: str, changed: list[str]
) -> None:
    """New digests beside changed histories do not help. Until its release, a version may be recorded again."""
    for state, text in (("before", "{}"), ("now", "{ }")):
        folder = tmp_path / state / "tests" / "histories" / "0.1.0"
        folder.mkdir(parents=True)
        (folder / "accepted.json").write_text(text)
        (tmp_path / state / "CHANGELOG.md").write_text(f"{heading}\n")

    assert changed_since(tmp_path / "before", tmp_path / "now") == changed
    assert changed_since(tmp_path / "before", tmp_path / "before") == []


def test_only_the_version_that_the_changelog_calls_unreleased_is_recorded() -> None:
    """The recorder refuses any other."""
    assert is_released("0.0.1")
