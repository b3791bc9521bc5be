"""Ways to break the worker, to see that the simulation notices and how many seeds it takes."""

import importlib.abc
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final, NamedTuple

from rich.console import Console

from deploy.local.places import PROJECT
from tests.simulation.consumer.mutants import CONSUMER_MUTANTS
from tests.simulation.mutant import Mutant
from tests.simulation.report import write_mutants
from tests.simulation.workflows.mutants import WORKFLOW_MUTANTS

_PROCESSES: Final = 2
_VIOLATED: Final = 1
_STUCK_AFTER_S: Final = 1_800


class _Found(NamedTuple):
    """How many seeds it took, and the first violation."""

    seeds: int
    violation: str


MUTANTS_OF: Final = {"consumer": CONSUMER_MUTANTS, "workflows": WORKFLOW_MUTANTS}
"""The mutants of each half. They are numbered from 1 through both."""

MUTANTS: Final = [*MUTANTS_OF["consumer"], *MUTANTS_OF["workflows"]]


def mutated(number: int) -> None:
    """Break the worker in this process, before it is imported. Mutants count from 1."""
    mutant = MUTANTS[number - 1]
    if mutant.module in sys.modules:
        raise RuntimeError(f"{mutant.module} was imported before it was changed")

    sys.meta_path.insert(0, _Finder(mutant))


def find_all(console: Console, half: str, seeds: int, processes: int | None = None, write: bool = False) -> int:
    """Look for each mutant, print the seeds it took, and return 0 if all were found."""
    numbers = [1 + MUTANTS.index(mutant) for mutant in MUTANTS_OF[half]]
    rows: list[tuple[Mutant, int | None, str]] = []
    with ThreadPoolExecutor(processes or _PROCESSES) as pool:
        for number, found in zip(numbers, pool.map(partial(_find, half, seeds), numbers), strict=True):
            mutant = MUTANTS[number - 1]
            rows.append((mutant, None, "") if found is None else (mutant, *found))
            shown = "NOT FOUND" if found is None else f"seeds: {found.seeds}, {found.violation}"
            console.print(f"{number:2}  {mutant.what}\n    {shown}", markup=False, highlight=False)

    missed = sum(seeds_taken is None for _, seeds_taken, _ in rows)
    console.print(f"{len(numbers)} mutants, {missed} not found")
    if write:
        write_mutants(half, rows)
    return 1 if missed else 0


def _find(half: str, seeds: int, number: int) -> _Found | None:
    """Return how many seeds it took and what they showed; None if none of them showed a violation."""
    command = [sys.executable, "-m", "tests.simulation", "--half", half, "--seeds", str(seeds), "--mutant", str(number)]
    try:
        run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=_STUCK_AFTER_S)
    except subprocess.TimeoutExpired:
        return None
    if run.returncode != _VIOLATED:
        return None

    lines = run.stdout.splitlines()
    counted = next((line for line in lines if " seeds, " in line), "0")
    violation = next((line for line in lines if line.startswith("  ")), "")
    return _Found(int(counted.split()[0]), violation.strip())


class _Loader(importlib.abc.SourceLoader):
    """Loads a module with one piece of its text replaced. Nothing is cached."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def get_filename(self, fullname: str) -> str:
        return str(PROJECT / self._mutant.file)

    def get_data(self, path: str | bytes) -> bytes:
        text = (PROJECT / self._mutant.file).read_text()
        assert text.count(self._mutant.old) == 1
        return text.replace(self._mutant.old, self._mutant.new).encode()


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._mutant.module:
            return None

        return importlib.util.spec_from_loader(fullname, _Loader(self._mutant))
