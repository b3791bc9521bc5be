"""What ``make bench-scale`` measures: many who wait (P7), and several workers (P8)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from tests.benchmarks.performance.arena import BROKER, SERVER, WORKER, Arena, Turn, Way
from tests.benchmarks.performance.figures import Figure
from tests.benchmarks.performance.rounds import SEATS, Say

_FEW: Final = 100
_CROWDED: Final = "crowded"
_CALM: Final = "calm"
_CREW: Final = "crew"
_WORKERS: Final = 3
_MOST_AT_ONCE: Final = 10_000
_PATIENT: Final = {"SIGNIN_OTP__LIFETIME_S": "600"}
_IMPATIENT: Final = {"SIGNIN_OTP__LIFETIME_S": "20", "SIGNIN_OTP__SHORTEST_RESEND_S": "1"}
_ALL_EXPIRED_S: Final = 30.0


@dataclass(frozen=True)
class Load:
    """How much of everything."""

    waiting: int = 10_000
    rounds: int = 5
    signins: int = 100


async def waiting(crowded: Arena, calm: Arena, load: Load, say: Say) -> AsyncIterator[tuple[str, Figure]]:
    """Compare the cost of a sign-in on two stacks that take turns: on one of them many others wait for their code.

    A code lives for ten minutes at most, in which this machine cannot open more than some 15,000 sign-ins. So beyond
    10,000 codes live for seconds: by the time of the rounds they have expired, and their mailboxes wait for their day
    to end. Yields the name of a target, and the figure.
    """
    (many, worker), (few, _) = await crowded.ours(_CROWDED, **_PATIENT), await calm.ours(_CALM, **_PATIENT)
    await _leave(calm, _CALM, _FEW, say)
    at_first = min(load.waiting, _MOST_AT_ONCE)
    await _leave(crowded, _CROWDED, at_first, say)
    yield "P7", await _cost_beside(many, few, load, say)
    if load.waiting > at_first:
        await worker.end()
        worker.settings = {**worker.settings, **_IMPATIENT}
        await worker.start()
        await _leave(crowded, _CROWDED, load.waiting - at_first, say)
        await asyncio.sleep(_ALL_EXPIRED_S)
        many = crowded.way(_CROWDED, [worker])
        yield f"P7 {load.waiting:,}", await _cost_beside(many, few, load, say)


async def _leave(scene: Arena, name: str, count: int, say: Say) -> None:
    took = await scene.world.ask("leave_waiting", way=name, signins=count, seats=SEATS)
    through = count - len(took["trouble"])
    say(f"{through} of {count} wait on the {name} stack: {count / took['elapsed_s']:.1f} requests/s")


async def _cost_beside(many: Way, few: Way, load: Load, say: Say) -> Figure:
    rounds = []
    for number in range(load.rounds + 1):
        turns = [await way.crowd(load.signins, SEATS) for way in (many, few)]
        rounds += [turns] if number else []  # the first warms up
        say(f"round {number}: {', '.join(f'{_all_ms(turn):.1f} ms' for turn in turns)} of CPU per sign-in")
    notes = {
        "worker's memory, MiB": median(one.cost.memory_mib[WORKER] for one, _ in rounds),
        "with 100, MiB": median(other.cost.memory_mib[WORKER] for _, other in rounds),
        "server alone": median(one.cost.cpu_ms[SERVER] / other.cost.cpu_ms[SERVER] for one, other in rounds),
        "worker alone": median(one.cost.cpu_ms[WORKER] / other.cost.cpu_ms[WORKER] for one, other in rounds),
    }
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
