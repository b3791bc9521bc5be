"""``python -m tests.simulation``: run seeds, replay one as a story, or look how soon mutants are found."""

import argparse
import os
import sys
import time
from collections.abc import Iterable
from importlib import import_module
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.simulation.halves import Half
from tests.simulation.mutants import find_all, mutated
from tests.simulation.report import Tally, write_run
from tests.simulation.verdicts import Verdict, run_seeds

_WRITTEN_EVERY: Final = 5_000  # seeds

HALVES: Final = {"consumer": "tests.simulation.consumer.half", "workflows": "tests.simulation.workflows.half"}


def main() -> int:
    """Return 0 if nothing was violated, 1 otherwise."""
    arguments = _parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    halves = [arguments.half] if arguments.half else list(HALVES)

    if arguments.mutants:
        statuses = [find_all(console, half, arguments.seeds, arguments.processes, arguments.write) for half in halves]
        return max(statuses)
    if arguments.mutant:
        mutated(arguments.mutant)
    if arguments.seed is not None:
        half = _half(halves[0])
        verdict = half.shrink(arguments.seed) if arguments.shrink else half.tell(arguments.seed)
        return _tell(console, verdict, arguments.trace or arguments.shrink)

    return max(_run(console, half, arguments) for half in halves)


def _half(name: str) -> Half:
    """Return a half. It is imported only now, since a mutant changes modules before they are."""
    half: Half = import_module(HALVES[name]).HALF
    return half


def _parser() -> argparse.ArgumentParser:
    about = "Random orders of events, each from a seed."
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=about)
    parser.add_argument(
        "--half", choices=HALVES, help="which half; by default both, or the consumer's if one seed is told"
    )
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, help="how many run at a time; by default one for each core")
    parser.add_argument("--seed", type=int, help="replay this seed")
    parser.add_argument("--trace", action="store_true", help="print its story, event by event")
    parser.add_argument("--shrink", action="store_true", help="leave out of its story what the violation does not need")
    parser.add_argument("--mutant", type=int, help="break the worker in this way first")
    parser.add_argument("--write", action="store_true", help="write docs/simulation.md and .json")
    parser.add_argument("--mutants", action="store_true", help="look how many seeds it takes to find each mutant")

    return parser


def _tell(console: Console, verdict: Verdict, whole: bool) -> int:
    """Print one seed's story, or the end of it."""
    for line in verdict.story if whole else verdict.story[-20:]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    console.print(f"seed {verdict.seed}: {verdict.simulated_s:.1f} s, digest {verdict.digest}")
    return _judge(console, [verdict])


def _run(console: Console, half: str, arguments: argparse.Namespace) -> int:
    """Run seeds until one shows a violation. The figures are written on the way, so a run may be cut off."""
    processes = 1 if arguments.mutant else arguments.processes
    began = time.perf_counter()
    tally = Tally()
    found: list[Verdict] = []
    for verdict in run_seeds(_half(half).run, range(arguments.first, arguments.first + arguments.seeds), processes):
        tally.add(verdict)
        if verdict.violations:
            found.append(verdict)
            break
        if arguments.write and tally.seeds % _WRITTEN_EVERY == 0:
            write_run(half, tally, time.perf_counter() - began, processes)

    took_s = time.perf_counter() - began
    console.print(_coverage(tally))
    simulated_h = tally.simulated_s / 3_600
    console.print(f"{tally.seeds} seeds, {tally.seeds / took_s:.1f} a second, {simulated_h:.1f} simulated hours")
    if arguments.write and not found:
        write_run(half, tally, took_s, processes)

    return _judge(console, found)


def _judge(console: Console, verdicts: Iterable[Verdict]) -> int:
    found = [verdict for verdict in verdicts if verdict.violations]
    for verdict in found:
        console.print(f"[red]seed {verdict.seed}[/red]")
        for violation in verdict.violations:
            console.print(f"  {violation}", markup=False, highlight=False, soft_wrap=True)

    console.print(f"violations: {sum(len(verdict.violations) for verdict in found)}")
    return 1 if found else 0


def _coverage(tally: Tally) -> Table:
    """Return how often each kind of event happened, and in how many seeds."""
    table = Table("kind of event", "events", "seeds")
    for kind, events, seeds in tally.rows():
        table.add_row(kind, str(events), str(seeds))
    return table


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of texts would have another order in each process
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
