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
from tests.sabotage.cuts import CUTS
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


_POLLING: Final = "consumers/polling"
_KAFKA: Final = "utils/kafka"

_OF_SABOTAGE: Final = (
    "a record counts as done before it is handled",
    '"not now" is given up after a few tries',
    "a late submission is sent to Temporal",
    "items of one lane run concurrently",
    "each request has its own lane",
    "the newest offset is committed, not the watermark",
    "offsets without a record are never skipped",
    "offsets that fall are not noticed",
    "a new log that is longer than the old one is not noticed",
    "records polled across a rebalance are used",
    "a dead letter that cannot be written is dropped",
    "repeated headers are merged",
    "a new group starts at the end of the topics",
    "an open breaker stops intake even if no call can probe",
)
"""The cuts of ``make sabotage`` that the world outside the worker can see."""

_OWN: Final = (
    Mutant(
        "a poll that raises puts no position back (issue 20, defect 1)",
        f"{_KAFKA}/polling.py",
        "            self._seek(assignment, before)\n            if not _concerns_a_batch(error):\n",
        "            before = self._positions()\n            if not _concerns_a_batch(error):\n",
    ),
    Mutant(
        "a batch that cannot be decoded stops its partition (issue 20, defect 2)",
        f"{_KAFKA}/polling.py",
        "            if not _concerns_a_batch(error):\n",
        "            if error is not None:\n",
    ),
    Mutant(
        "only the partitions that are read one by one are put back",
        f"{_KAFKA}/polling.py",
        "            self._seek(assignment, before)\n            if not _concerns_a_batch(error):\n",
        "            if not _concerns_a_batch(error):\n",
    ),
    Mutant(
        "an unreadable batch ends at its first offset",
        f"{_KAFKA}/batches.py",
        "last = max(first, min(header.last_offset, next_start - 1))",
        "last = first",
    ),
    Mutant(
        "an unreadable batch is skipped without a dead letter",
        f"{_KAFKA}/polling.py",
        "    if fetched.unreadable is not None:\n",
        "    if False:\n",
    ),
    Mutant(
        "records of open and aborted transactions are read",
        f"{_KAFKA}/source.py",
        '"isolation_level": "read_committed"',
        '"isolation_level": "read_uncommitted"',
    ),
    Mutant(
        "a dead letter's record counts as done before Kafka has the letter",
        "consumers/handling/dead_lettering.py",
        "            await self._write(delivery, outcome)\n",
        "            asyncio.ensure_future(self._write(delivery, outcome))\n",
    ),
    Mutant(
        "a producer is kept after an error",
        f"{_KAFKA}/producer.py",
        "        if producer is not None and producer is self._producer:\n            self._producer = None\n",
        "        if False:\n            self._producer = None\n",
    ),
    Mutant(
        "reading goes on from where the client stands after a rebalance",
        f"{_POLLING}/reading.py",
        "            await self._source.seek_to_committed(frozenset(self._assignment.partitions))\n",
        "",
    ),
    Mutant(
        "the last commit of an assignment includes logs that are gone (found by this simulation)",
        f"{_POLLING}/assignment.py",
        "        marks |= dict.fromkeys(self.outdated, 0)\n",
        "",
    ),
    Mutant(
        "a commit that fails counts as made",
        f"{_POLLING}/committing.py",
        "        else:\n            self._committed.update(offsets)",
        "        finally:\n            self._committed.update(offsets)",
    ),
    Mutant(
        "a poll that fails across a rebalance is not read again",
        f"{_POLLING}/reading.py",
        "        finally:\n            # Across",
        "        except KafkaUnavailable:\n            raise\n        else:\n            # Across",
    ),
    Mutant(
        "a dead letter has no key",
        "consumers/handling/dead_lettering.py",
        "    yield _Form(record.key, record.value, headers)\n",
        "    yield _Form(None, record.value, headers)\n",
    ),
    Mutant(
        "each submission has its own lane",
        "consumers/intake.py",
        'return f"mailbox/{self._pseudonyms.mailbox(address)}"',
        'return f"mailbox/{self._pseudonyms.mailbox(address)}/{record.offset}"',
    ),
    Mutant(
        "a call without an answer counts as applied",
        "consumers/gateway/guard.py",
        "            except Unreachable:\n                self._slots.overloaded(call)\n                raise\n",
        "            except Unreachable:\n"
        "                from consumers.outcomes import Applied\n\n                return Applied()\n",
    ),
)


def _of_consumer() -> Sequence[Mutant]:
    cuts = {cut.what: cut for cut in CUTS}
    chosen = [Mutant(what, cuts[what].file, cuts[what].old, cuts[what].new) for what in _OF_SABOTAGE]
    return [*_OWN, *chosen]


MUTANTS_OF: Final = {"consumer": _of_consumer(), "workflows": WORKFLOW_MUTANTS}
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
