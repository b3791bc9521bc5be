"""The measurements of ``make bench-scale``: many people who wait (P7), and several workers (P8)."""

import asyncio
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType
from typing import Any, Final

from deploy.local.places import StackError
from deploy.local.processes import Child
from tests.benchmarks.performance.arena import BROKER, SERVER, WORKER, Arena, Turn, Way
from tests.benchmarks.performance.figures import Figure
from tests.benchmarks.performance.patient import PatientWorker
from tests.benchmarks.performance.rounds import SEATS, Log

_FEW: Final = 100
_CROWDED: Final = "crowded"
_CALM: Final = "calm"
_CREW: Final = "crew"
_WORKERS: Final = 3
_MIB: Final = 1 << 20
LONG: Final = 50_000
"""This many take half an hour or more, during which nothing else is measured."""

WAITING: Final = MappingProxyType({10_000: "P7", LONG: f"P7 {LONG:,}"})
"""How many people wait, and the target that requires it."""

_AT_A_TIME: Final = 2_000
_MAX_SHARE_WITHOUT_CODE: Final = 0.05


@dataclass(frozen=True)
class Load:
    """The size of a run."""

    waiting: int = 10_000
    rounds: int = 5
    signins: int = 100
    rounds_of_waiting: int = 9


async def cost_beside_waiting(crowded: Arena, calm: Arena, load: Load, log: Log) -> Figure:
    """Compare the cost of a sign-in on two stacks that take turns. On one of them, many others wait for their code.

    Those sign-ins are opened by an event, as usual, and have got their mail. Their codes live for hours, so that none
    expires during a round: that work is not part of a sign-in's cost.
    """
    many, worker = await crowded.ours(_CROWDED, kind=PatientWorker)
    few, another = await calm.ours(_CALM, kind=PatientWorker)
    await leave_waiting(calm, another.process, _FEW, log)
    count = 0
    memory = dict[str, float]()

    while count < load.waiting:
        count += await leave_waiting(crowded, worker.process, min(_AT_A_TIME, load.waiting - count), log)
        mib = worker.process.command.memory_info().rss / _MIB
        memory[f"worker's MiB with {count:,}"] = mib
        log(f"{count:,} wait: the worker has {mib:.0f} MiB")

    figure = await _cost_beside(many, few, load, log)
    figure.notes.update(memory)

    return figure


async def leave_waiting(arena: Arena, worker: Child, count: int, log: Log) -> int:
    """Open sign-ins and return how many wait. A few that get no code are reported, but do not end the run."""
    result = await arena.ask_world("leave_waiting", worker, way=worker.name, signins=count, seats=SEATS)
    failures = result["failures"]
    if len(failures) > count * _MAX_SHARE_WITHOUT_CODE:
        raise StackError(f"{len(failures)} of {count} got no code: {failures[0]}")

    waiting = count - len(failures)
    without = f"; {len(failures)} got no code: {failures[0]}" if failures else ""
    log(f"{waiting} more wait on the {worker.name} stack: {waiting / result['elapsed_s']:.1f} requests/s{without}")

    return waiting


async def _cost_beside(many: Way, few: Way, load: Load, log: Log) -> Figure:
    rounds = []
    for number in range(load.rounds_of_waiting + 1):
        order = (few, many) if number % 2 else (many, few)
        turns = {way.name: await way.crowd(2 * load.signins, SEATS) for way in order}
        one = turns[many.name]
        other = turns[few.name]
        if number:  # the first round warms up
            rounds.append((one, other))
        log(f"round {number}: {_all_ms(one):.1f} ms, {_all_ms(other):.1f} ms of CPU per sign-in")

    notes = {
        "worker's memory, MiB": median(one.cost.memory_mib[WORKER] for one, _ in rounds),
        "with 100, MiB": median(other.cost.memory_mib[WORKER] for _, other in rounds),
    }
    for name in (SERVER, WORKER, BROKER):
        notes[f"{name} alone"] = median(one.cost.cpu_ms[name] / other.cost.cpu_ms[name] for one, other in rounds)

    return Figure([_all_ms(one) / _all_ms(other) for one, other in rounds], notes)


async def several_workers(arena: Arena, load: Load, log: Log) -> tuple[Figure, dict[str, Any]]:
    """Project what three workers can do from their cost per sign-in, and scale up and down while people sign in."""
    _, first = await arena.ours(_CREW)
    crew = [first, *[await arena.beside(first) for _ in range(_WORKERS - 1)]]
    together = await _rounds(arena.way(_CREW, crew), load)

    signing_in = asyncio.create_task(arena.world.ask("crowd", way=_CREW, signins=3 * load.signins, seats=SEATS))
    for worker in crew[1:]:
        await worker.end()  # SIGTERM, while people sign in

    crew += [await arena.beside(first)]
    result = await signing_in
    await crew[-1].end()

    alone = await _rounds(arena.way(_CREW, [first]), load)
    repeats = await arena.world.ask("repeats", way=_CREW)
    scaled = {"people": 3 * load.signins, "not_through": len(result["failures"]), **repeats}
    log(f"scaled from 3 to 1 to 2 and back to 1 while people signed in: {scaled}")

    ratios = [_WORKERS * _worker_ms(one) / _worker_ms(three) for one, three in zip(alone, together, strict=True)]
    notes = {
        "ms of a single worker": median(map(_worker_ms, alone)),
        "ms of the three": median(map(_worker_ms, together)),
        "not through while scaling": float(scaled["not_through"]),
        "second mails": float(repeats["mails"]),
        "repeated results": float(repeats["results"]),
    }

    return Figure(ratios, notes), scaled


async def _rounds(way: Way, load: Load) -> list[Turn]:
    await way.crowd(load.signins // 2, SEATS)
    return [await way.crowd(load.signins, SEATS) for _ in range(load.rounds)]


def _worker_ms(turn: Turn) -> float:
    return turn.cost.cpu_ms[WORKER]


def _all_ms(turn: Turn) -> float:
    return sum(turn.cost.cpu_ms[name] for name in (SERVER, WORKER, BROKER))
