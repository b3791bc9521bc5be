"""The cuts still fit the code. What they show, ``make sabotage`` shows: it runs for minutes."""

import pytest

from deploy.local.places import PROJECT
from tests.sabotage.__main__ import DOCUMENT, rendered
from tests.sabotage.cuts import CUTS, RULES, Cut


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.what)
def test_a_cut_fits(cut: Cut) -> None:
    """What it replaces is there, once; the test that has to notice is there."""
    assert (PROJECT / cut.file).read_text().count(cut.old) == 1
    file, _, name = cut.test.partition("::")
    assert f"def {name}" in (PROJECT / file).read_text() if name else (PROJECT / file).exists()


def test_each_rule_has_a_cut() -> None:
    """No rule is held by words alone."""
    assert {cut.rule for cut in CUTS} == set(RULES)


def test_the_document_tells_them() -> None:
    """It was written after the last change of the cuts."""
    assert DOCUMENT.read_text() == rendered()
