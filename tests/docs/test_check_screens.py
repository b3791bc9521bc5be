"""The screens in ``docs/screens`` are what the commands print."""

from pathlib import Path

import pytest

from tests.docs.check_screens import screens

SCREENS = dict(screens())


@pytest.mark.parametrize("file", SCREENS, ids=lambda file: file.name)
def test_a_screen_is_as_it_is_printed(file: Path) -> None:
    """``python -m tests.docs`` writes them anew."""
    assert file.read_text() == SCREENS[file]


@pytest.mark.parametrize("file", SCREENS, ids=lambda file: file.name)
def test_only_what_is_to_be_copied_is_wider_than_the_terminal(file: Path) -> None:
    """All else was broken into lines; a command stays in one piece."""
    width = int(file.stem.rpartition("-")[2])
    wide = [line for line in SCREENS[file].splitlines() if len(line) > width]
    assert all(line.startswith("     Fix: ") for line in wide)
