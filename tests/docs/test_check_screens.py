"""The screens in ``docs/screens`` show what the commands print."""

from pathlib import Path

import pytest

from tests.docs.check_screens import screens

SCREENS = dict(screens())


@pytest.mark.parametrize("file", SCREENS, ids=lambda file: file.name)
def test_a_screen_is_up_to_date(file: Path) -> None:
    """Each file has the output of today's code; ``python -m tests.docs`` writes it."""
    assert file.read_text() == SCREENS[file]


@pytest.mark.parametrize("file", SCREENS, ids=lambda file: file.name)
def test_only_commands_to_copy_are_wider_than_the_terminal(file: Path) -> None:
    """Text is wrapped to the terminal; a fix stays on one line, so that it can be copied."""
    width = int(file.stem.rpartition("-")[2])
    wide = [line for line in SCREENS[file].splitlines() if len(line) > width]
    assert all(line.startswith("     Fix: ") for line in wide)
