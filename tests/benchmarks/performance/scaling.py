"""What ``make bench-scale`` measures: many who wait (P7), and several workers (P8)."""

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
from tests.benchmarks.performance.rounds import SEATS, Say

_FEW: Final = 100
_CROWDED: Final = "crowded"
_CALM: Final = "calm"
_CREW: Final = "crew"
_WORKERS: Final = 3
_MIB: Final = 1 << 20
LONG: Final = 50_000
"""So many take half an hour or more, in which nothing else is measured."""

WAITING: Final = MappingProxyType({10_000: "P7", LONG: f"P7 {LONG:,}"})
"""How many wait, and the target that asks for it."""

_AT_A_TIME: Final = 2_000
_WITHOUT_A_CODE: Final = 0.05


@dataclass(frozen=True)
class Load:
    """How much of everything."""

    waiting: int = 10_000
    rounds: int = 5
    signins: int = 100
    rounds_of_waiting: int = 9


async def waiting(crowded: Arena, calm: Arena, load: Load, say: Say) -> Figure:
    """Compare the cost of a sign-in on two stacks that take turns: on one of them many others wait for their code.

    They are opened as everybody is, by an event, and got their mail. Their codes live for hours, so that none expires
    in a round: that is work, and none of the sign-in's.
    """
    many, worker = await crowded.ours(_CROWDED, kind=PatientWorker)
    few, another = await calm.ours(_CALM, kind=PatientWorker)
    await leave(calm, another.process, _FEW, say)
    there = 0
    memory = {}

    while there < load.waiting:
        there += await leave(crowded, worker.process, min(_AT_A_TIME, load.waiting - there), say)
        mib = memory[f"worker's MiB with {there:,}"] = worker.process.command.memory_info().rss / _MIB
        say(f"{there:,} wait: the worker has {mib:.0f} MiB")

    figure = await _cost_beside(many, few, load, say)
    figure.notes.update(memory)

    return figure


async def leave(scene: Arena, worker: Child, count: int, say: Say) -> int:
    """Open sign-ins and return how many wait: one without a code in an hour is told of, not the end of that hour."""
    took = await scene.ask_world("leave_waiting", worker, way=worker.name, signins=count, seats=SEATS)
    trouble = took["trouble"]
    if len(trouble) > count * _WITHOUT_A_CODE:
        raise StackError(f"{len(trouble)} of {count} got no code: {trouble[0]}")

    wait = count - len(trouble)
    without = f"; {len(trouble)} got no code: {trouble[0]}" if trouble else ""
    say(f"{wait} more wait on the {worker.name} stack: {wait / took['elapsed_s']:.1f} requests/s{without}")

    return wait


async def _cost_beside(many: Way, few: Way, load: Load, say: Say) -> Figure:
    rounds = []
    for number in range(load.rounds_of_waiting + 1):
        turns = {way.name: await way.crowd(2 * load.signins, SEATS) for way in ((many, few), (few, many))[number % 2]}
        one = turns[many.name]
        other = turns[few.name]
        rounds += [(one, other)] if number else []  # the first warms up
        say(f"round {number}: {_all_ms(one):.1f} ms, {_all_ms(other):.1f} ms of CPU per sign-in")

    notes = {
        "worker's memory, MiB": median(one.cost.memory_mib[WORKER] for one, _ in rounds),
        "with 100, MiB": median(other.cost.memory_mib[WORKER] for _, other in rounds),
    }
    for name in (SERVER, WORKER, BROKER):
        notes[f"{name} alone"] = median(one.cost.cpu_ms[name] / other.cost.cpu_ms[name] for one, other in rounds)

    return Figure([_all_ms(one) / _all_ms(other) for one, other in rounds], notes)


async def several_workers(scene: Arena, load: Load, say: Say) -> tuple[Figure, dict[str, Any]]:
    """Project what three workers can do from what a sign-in costs them, and scale up and down while people sign in."""
    _, first = await scene.ours(_CREW)
    crew = [first, *[await scene.beside(first) for _ in range(_WORKERS - 1)]]
    together = await _rounds(scene.way(_CREW, crew), load)
    going = asyncio.create_task(scene.world.ask("crowd", way=_CREW, signins=3 * load.signins, seats=SEATS))
    for worker in crew[1:]:
        await worker.end()  # SIGTERM, while people sign in

    crew += [await scene.beside(first)]
    took = await going
    await crew[-1].end()
    alone = await _rounds(scene.way(_CREW, [first]), load)
    repeats = await scene.world.ask("repeats", way=_CREW)
    scaled = {"people": 3 * load.signins, "not_through": len(took["trouble"]), **repeats}
    say(f"scaled from 3 to 1 to 2 and back to 1 while people signed in: {scaled}")
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
