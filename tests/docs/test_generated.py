"""The generated parts of the documents match the code, and links lead somewhere."""

from pathlib import Path

import pytest

from tests.docs.documents import README, REFERENCE, anchors, documents, generated_names, targets, with_generated
from tests.docs.generated import generated


def test_generated_parts_are_up_to_date() -> None:
    """Settings, commands, metrics and alerts match the code; ``python -m tests.docs`` writes them."""
    text = REFERENCE.read_text()

    assert with_generated(text, generated()) == text, "call: .cache/venv/bin/python -m tests.docs"


def test_every_part_stands_in_one_document() -> None:
    """Each generated part appears once, in the reference."""
    names = [name for document in documents() for name in generated_names(document.read_text())]

    assert sorted(names) == sorted(generated())
    assert sorted(generated_names(REFERENCE.read_text())) == sorted(names)


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Every file that a document links to or names exists, and so does the heading after the ``#``."""
    for target in targets(document):
        assert target.path.exists(), f"{document.name} leads to {target.path}"
        assert not target.anchor or target.anchor in anchors(target.path), f"{document.name} leads to #{target.anchor}"


def test_the_readme_leads_to_every_page() -> None:
    """No page of ``docs`` is an orphan; decision records are named as a folder."""
    linked = {target.path.resolve() for target in targets(README)}
    pages = {path for path in documents() if path.parent.name != "adr"}

    assert pages - {README} <= linked
