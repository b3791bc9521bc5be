"""The page about the simulation, made of what runs have shown."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation import report
from tests.simulation.findings import FINDINGS
from tests.simulation.mutant import Mutant
from tests.simulation.report import Tally, write_mutants, write_run
from tests.simulation.verdicts import Verdict

MUTANT = Mutant("no rule holds", "consumers/outcomes.py", "old", "new")


@pytest.fixture(autouse=True)
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty page."""
    monkeypatch.setattr(report, "DATA", tmp_path / "simulation.json")
    monkeypatch.setattr(report, "PAGE", tmp_path / "simulation.md")
    return tmp_path / "simulation.md"


def tally_of(kind: str, seeds: int) -> Tally:
    """Return so many seeds, each with one event of a kind."""
    tally = Tally()
    for seed in range(seeds):
        tally.add(Verdict(seed, [], Counter({kind: 1}), 3_600.0))
    return tally


def test_each_half_keeps_what_the_other_has_shown(page: Path) -> None:
    """Runs and mutants of both halves stand on the page, whichever was written last."""
    write_run("consumer", tally_of("broker down", 1_234), 100.0, 2)
    write_mutants("consumer", [(MUTANT, 17, "two results"), (MUTANT, None, "")])
    write_run("workflows", tally_of("mail accepted", 5_678), 100.0, 1)
    write_mutants("workflows", [(MUTANT, 42, "no | result")])
    write_run("consumer", tally_of("broker up", 4_321), 100.0, 2)

    text = page.read_text()
    assert "| 4,321 | 0 | 43.2 | 2 | 4,321.0 |" in text
    assert "| 5,678 | 0 | 56.8 | 1 | 5,678.0 |" in text
    assert "1,234" not in text
    assert "| broker up | 4,321 | 4,321 |" in text
    assert "| mail accepted | 5,678 | 5,678 |" in text
    assert "| no rule holds | `consumers/outcomes.py` | 17 | two results |" in text
    assert "2 mutants, 1 not found" in text
    assert "| no rule holds | `consumers/outcomes.py` | 42 | no \\| result |" in text


def test_figures_name_the_commit_they_are_of(page: Path) -> None:
    """Runs and mutants are of different times."""
    write_run("workflows", tally_of("mail accepted", 1), 1.0, 1)
    write_mutants("workflows", [(MUTANT, 1, "x")])

    data = json.loads(report.DATA.read_text())
    commit = data["runs"]["workflows"]["commit"]
    assert commit
    assert data["mutants_commit"]["workflows"] == commit
    assert f"| Workflow half | {commit} |" in page.read_text()


def test_what_was_found_stands_on_the_page(page: Path) -> None:
    """Each with its seed and its fix."""
    write_run("workflows", tally_of("mail accepted", 1), 1.0, 1)

    text = page.read_text()
    assert "## What it found" in text
    assert "seed 762" in text
    assert text.count("*Fix:*") == len(FINDINGS)
