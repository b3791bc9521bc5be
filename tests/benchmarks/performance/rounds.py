"""Interleaved rounds: the three ways take turns, so that other load on the machine affects all of them."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from tests.benchmarks.performance.arena import (
    BROKER,
    DATABASE,
    FLOOR,
    FLOOR_PLAIN,
    OURS,
    SERVER,
    USUAL,
    WORKER,
    Turn,
    Way,
)
from tests.benchmarks.performance.figures import Figure, Waits, rounded
from tests.benchmarks.performance.meters import made_calls

SEATS: Final = 32
_WARMING_UP: Final = 48
_MIN_ROUNDS: Final = 3
_PARTS: Final = (SERVER, DATABASE, WORKER, BROKER)

Log = Callable[[str], None]
Turns = dict[str, list[Turn]]


async def idle_cpu(ways: Mapping[str, Way], seconds: float) -> dict[str, dict[str, float]]:
    """Return the CPU use of each process while nobody signs in, in ms per second. Every cost includes it."""
    before = {name: way.cpu_s() for name, way in ways.items()}
    await asyncio.sleep(seconds)
    return {
        name: {part: rounded((used - before[name][part]) * 1e3 / seconds) for part, used in _parts(way.cpu_s())}
        for name, way in ways.items()
    }


def _parts(cpu: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return the CPU of what production has, too. The dev server has no database of its own."""
    return [(name, cpu[name]) for name in _PARTS if name in cpu]


@dataclass(frozen=True)
class Rounds:
    """How many rounds to run. After ``seconds`` no round starts, so a slow machine runs fewer, but at least three."""

    max_rounds: int
    seconds: float

    def __iter__(self) -> Iterator[int]:
        """Count the rounds, from 1."""
        begun = time.monotonic()
        for number in range(1, self.max_rounds + 1):
            if number <= _MIN_ROUNDS or time.monotonic() < begun + self.seconds:
                yield number


async def crowd_rounds(ways: Mapping[str, Way], rounds: Rounds, signins: int, log: Log) -> Turns:
    """Let each way sign in ``signins`` people per round, in turn. The floor is faster, and gets twice as many."""
    for way in ways.values():
        await way.crowd(_WARMING_UP, SEATS)

    turns: Turns = {name: [] for name in ways}
    for number in rounds:
        for name in _rotated(list(ways), number):
            turn = await ways[name].crowd(signins * (2 if name == FLOOR else 1), SEATS)
            turns[name].append(turn)
            log(f"round {number}, {name}: {_line(turn)}")

    return turns


def _rotated(names: list[str], number: int) -> list[str]:
    """Return the order of a round, so that no way always follows the same one."""
    first = number % len(names)
    return names[first:] + names[:first]


def ratios_in_a_crowd(turns: Turns) -> dict[str, Figure]:
    """Return the figures in a crowd. Each ratio is from turns of the same round."""
    notes = {
        "÷ that of a floor without the sandbox": median(_ratios(turns[OURS], turns[FLOOR_PLAIN], _worker)),
        "÷ that of the usual way": median(_ratios(turns[OURS], turns[USUAL], _worker)),
    }

    return {
        "P1 in a crowd": Figure(_ratios(turns[OURS], turns[FLOOR], _server)),
        "P2 in a crowd": Figure(_ratios(turns[OURS], turns[FLOOR], _worker), notes),
        "P3": Figure(_ratios(turns[OURS], turns[FLOOR], lambda turn: turn.per_s)),
        "P4": Figure(_ratios(turns[OURS], turns[USUAL], lambda turn: turn.per_s)),
    }


def ratios_at_a_pace(turns: Turns) -> dict[str, Figure]:
    """Return the figures at the same rate: as many people in the same time."""

    def medians(of: Callable[[Turn], float]) -> dict[str, float]:
        return {f"{name}, ms": median(map(of, turns[name])) for name in (OURS, FLOOR, USUAL)}

    return {
        "P1": Figure(_ratios(turns[OURS], turns[FLOOR], _server), medians(_server)),
        "P2": Figure(_ratios(turns[OURS], turns[FLOOR], _worker), medians(_worker)),
    }


def _server(turn: Turn) -> float:
    """Return the server's CPU, its database included."""
    return turn.cost.cpu_ms[SERVER] + turn.cost.cpu_ms.get(DATABASE, 0.0)


def _worker(turn: Turn) -> float:
    return turn.cost.cpu_ms[WORKER]


def summary(turns: list[Turn]) -> dict[str, Any]:
    """Return the cost of a sign-in with one way, as a member of ``docs/performance.json``."""
    last = turns[-1].cost
    cpu_ms = {name: _shown(turn.cost.cpu_ms[name] for turn in turns) for name, _ in _parts(last.cpu_ms)}
    database = {name: _shown(turn.cost.database[name] for turn in turns) for name in last.database}

    return {
        "signins_per_s": _shown(turn.per_s for turn in turns),
        "cpu_ms_per_signin": cpu_ms,
        **({"database": database} if database else {}),
        "history_events": last.events,
        "history_bytes": last.history_bytes,
        "workflow_tasks": last.workflow_tasks,
        "grpc_calls": _shown(made_calls(turn.cost.calls) for turn in turns),
        "grpc_calls_by_name": {name: rounded(count) for name, count in sorted(last.calls.items()) if count >= 0.1},
        "worker_memory_mib": rounded(last.memory_mib[WORKER]),
        "signins_measured": sum(turn.signins for turn in turns),
        "not_through": sum(len(turn.result.failures) for turn in turns),
    }


def _shown(each: Iterable[float]) -> dict[str, Any]:
    values = list(each)
    return {"value": rounded(median(values)), "spread": [rounded(min(values)), rounded(max(values))]}


async def paced_rounds(ways: Mapping[str, Way], per_s: float, seconds: float, rounds: Rounds, log: Log) -> Turns:
    """Let each way in turn sign people in at a fixed rate."""
    turns: Turns = {name: [] for name in ways}
    for number in rounds:
        for name in _rotated(list(ways), number):
            turn = await ways[name].pace(max(10, round(per_s * seconds)), per_s)
            turns[name].append(turn)
            log(f"at {per_s:.1f}/s, {name}: {_line(turn)}")
    return turns


def wait_times(turns: list[Turn], per_s: float) -> dict[str, Any]:
    """Return how long people waited at a fixed rate."""
    mails = [wait for turn in turns for wait in turn.result.request_to_mail_s]
    results = [wait for turn in turns for wait in turn.result.submit_to_result_s]
    medians = [Waits.of(turn.result.submit_to_result_s).as_json()["p50"] for turn in turns]

    return {
        "signins_per_s": rounded(per_s),
        "people": len(mails),
        "request_to_mail_ms": Waits.of(mails).as_json(),
        "submit_to_result_ms": Waits.of(results).as_json(),
        "submit_to_result_p50_ms_of_rounds": medians,
    }


def _ratios(ours: list[Turn], theirs: list[Turn], of: Callable[[Turn], float]) -> list[float]:
    return [of(one) / of(other) for one, other in zip(ours, theirs, strict=True)]


def _line(turn: Turn) -> str:
    cpu = ", ".join(f"{name} {used:.1f}" for name, used in _parts(turn.cost.cpu_ms))
    database = "".join(f"; {name} {count:.0f}" for name, count in turn.cost.database.items())
    return f"{turn.per_s:.1f} sign-ins/s; CPU ms {cpu}{database}; {len(turn.result.failures)} not through"
