"""Which run a finding is of."""

from tests.faults.versions import runs

OLD = {"on": "2026-11-26", "versions": "commit 1"}
NEW = {"on": "2026-11-27", "versions": "commit 2"}


def test_one_run_names_no_findings() -> None:
    """All are of it."""
    assert list(runs({"a": NEW, "b": NEW})) == ["Run on 2026-11-27: commit 2."]


def test_several_runs_name_theirs() -> None:
    """So that a reader sees what is of an older commit."""
    assert list(runs({"a": NEW, "b": OLD, "c": NEW})) == [
        "Run on 2026-11-26: commit 1 (b).",
        "Run on 2026-11-27: commit 2 (a, c).",
    ]
