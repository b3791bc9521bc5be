"""What the documents tell from the code is as the code is."""

from pathlib import Path

import pytest

from tests.docs.documents import DESIGN, README, documents, generated_names, targets, with_generated
from tests.docs.generated import generated
from deploy.local.places import PROJECT


@pytest.mark.parametrize("document", [README, DESIGN], ids=lambda path: path.name)
def test_generated_parts_are_up_to_date(document: Path) -> None:
    """Settings, commands, metrics and files are those of the code; ``python -m tests.docs`` writes them anew."""
    text = document.read_text()
    assert generated_names(text)
    assert with_generated(text, generated()) == text, "call: .cache/venv/bin/python -m tests.docs"


def test_every_part_stands_in_one_document() -> None:
    """No part is told twice, none is forgotten."""
    told = [name for document in documents() for name in generated_names(document.read_text())]
    assert sorted(told) == sorted(generated())


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """A document that is linked to or named is there."""
    for target in filter(None, targets(document)):
        path = PROJECT / target[1:] if target.startswith("/") else document.parent / target
        assert path.exists(), f"{document.name} leads to {target}"
