"""The cuts still fit the code. Running them takes minutes, which ``make sabotage`` does."""

import pytest

from deploy.local.places import PROJECT
from tests.sabotage.__main__ import DOCUMENT, rendered
from tests.sabotage.cuts import CUTS
from tests.sabotage.rules import RULES, Cut


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.what)
def test_a_cut_fits(cut: Cut) -> None:
    """The code that a cut replaces occurs exactly once in its file, and the test that must notice exists."""
    assert (PROJECT / cut.file).read_text().count(cut.old) == 1
    file, _, name = cut.test.partition("::")
    assert f"def {name}" in (PROJECT / file).read_text() if name else (PROJECT / file).exists()


def test_each_rule_has_a_cut() -> None:
    """Every rule has at least one cut that breaks it."""
    assert {cut.rule for cut in CUTS} == set(RULES)


def test_the_page_lists_all_cuts() -> None:
    """``docs/bridge.md`` was written after the last change of the cuts."""
    assert DOCUMENT.read_text() == rendered()
