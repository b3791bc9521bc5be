"""A fixed number of seeds of each half, in every run of the tests. ``make simulate`` runs others, and more."""

import os
import subprocess
import sys
from typing import Final

import pytest

from deploy.local.places import PROJECT

_SEEDS: Final = {"consumer": 2_000, "workflows": 2_000}
"""Two cores with nothing else to do need about 40 seconds for each half."""

_CHUNK: Final = 500
"""Fewer would spend more on imports; more would take too long where a machine is very busy."""

_CHUNKS: Final = [(half, first) for half, seeds in _SEEDS.items() for first in range(0, seeds, _CHUNK)]


@pytest.mark.timeout(600)  # it counts no simulated time, and a busy machine is no violation
@pytest.mark.parametrize(("half", "first"), _CHUNKS)
def test_no_seed_shows_a_violation(half: str, first: int) -> None:
    """In a process of its own: sets of texts have the same order there as when the seed is replayed."""
    options = ("--half", half, "--seeds", str(_CHUNK), "--first", str(first), "--processes", "1")
    run = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *options],
        cwd=PROJECT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-2_000:] + run.stderr[-2_000:]
