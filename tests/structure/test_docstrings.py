"""ruff checks docstrings, because flake8-docstrings and pydocstyle below it are no longer maintained."""

import subprocess
from typing import Final

import pytest

from deploy.local.places import PROJECT
from deploy.local.processes import executable

DEV_LOCK: Final = PROJECT / "requirements" / "dev.txt"


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("x = 1\n", "D100"),
        ('"""A module."""\n\n\ndef public() -> None:\n    pass\n', "D103"),
        ('"""A module."""\n\n\ndef public() -> None:\n    """Return nothing"""\n', "D400"),
        ('"""A module."""\n\n\ndef public() -> None:\n    """Returns nothing."""\n', "D401"),
    ],
)
def test_a_missing_or_ill_formed_docstring_is_found(source: str, rule: str) -> None:
    """``ruff check``, which ``make check`` runs, applies PEP 257's rules."""
    command = [str(executable("ruff")), "check", "--no-cache", "--stdin-filename", "utils/any.py", "-"]
    done = subprocess.run(command, input=source, cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 1
    assert rule in done.stdout


def test_the_stale_plugin_is_gone() -> None:
    """The lock holds flake8, and neither of the two unmaintained packages."""
    names = {line.partition("==")[0] for line in DEV_LOCK.read_text().splitlines() if "==" in line}

    assert "flake8" in names
    assert names & {"flake8-docstrings", "pydocstyle"} == set()
