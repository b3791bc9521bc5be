"""``python -m tests.simulation`` as a person runs it."""

import os
import re
import subprocess
import sys

import pytest

from deploy.local.places import PROJECT
from tests.simulation.mutant import Mutant
from tests.simulation.mutants import MUTANTS


def simulate(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    environment = {**os.environ, "PYTHONHASHSEED": "random"}
    command = [sys.executable, "-m", "tests.simulation", *options]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def number_of(what: str) -> str:
    """Return the number of a mutant."""
    return str(1 + [mutant.what for mutant in MUTANTS].index(what))


def test_it_runs_seeds_and_shows_what_they_reached() -> None:
    """Without a violation it ends with 0, and says how often each kind of event happened."""
    run = simulate("--seeds", "6", "--processes", "1")

    assert run.returncode == 0, run.stdout
    assert "violations: 0" in run.stdout
    assert "6 seeds" in run.stdout
    assert re.search(r"record applied +│ \d+", run.stdout)


def test_a_seed_is_replayed_in_another_process_byte_for_byte() -> None:
    """The story of a seed is the same wherever it is told."""
    first = simulate("--seed", "11", "--trace").stdout
    second = simulate("--seed", "11", "--trace").stdout

    assert first == second
    assert "worker starts" in first


@pytest.mark.parametrize(
    "what",
    [
        "a poll that raises puts no position back (issue 20, defect 1)",
        "rule 5: the newest offset is committed, not the watermark",
    ],
)
def test_a_broken_worker_is_found(what: str) -> None:
    """A worker that commits what it has not handled is found within a few seeds, with what it did."""
    run = simulate("--seeds", "40", "--mutant", number_of(what))

    assert run.returncode == 1
    assert "was committed, but" in run.stdout


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_mutants_quote_the_code(mutant: Mutant) -> None:
    """The text that a mutant replaces stands in its file exactly once."""
    assert (PROJECT / mutant.file).read_text().count(mutant.old) == 1
