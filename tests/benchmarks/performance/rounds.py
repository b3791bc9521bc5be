"""The interleaved rounds: the three ways take turns, so that whatever else the machine does is shared between them."""

import asyncio
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, Final

from tests.benchmarks.performance.arena import BROKER, FLOOR, FLOOR_PLAIN, OURS, SERVER, USUAL, WORKER, Turn, Way
from tests.benchmarks.performance.figures import Figure, Waits, rounded
from tests.benchmarks.performance.meters import made_calls

SEATS: Final = 32
_WARMING_UP: Final = 48
_PARTS: Final = (SERVER, WORKER, BROKER)

Say = Callable[[str], None]
Turns = dict[str, list[Turn]]


async def idle(ways: Mapping[str, Way], seconds: float) -> dict[str, dict[str, float]]:
    """Return the CPU that each process uses while nobody signs in, in milliseconds a second: it is in every cost."""
    before = {name: way.cpu_s() for name, way in ways.items()}
    await asyncio.sleep(seconds)
    return {
        name: {part: rounded((way.cpu_s()[part] - before[name][part]) * 1e3 / seconds) for part in _PARTS}
        for name, way in ways.items()
    }


async def interleaved(ways: Mapping[str, Way], rounds: int, signins: int, say: Say) -> Turns:
    """Let each way sign in so many people, in turn, over and over."""
    for way in ways.values():
        await way.crowd(_WARMING_UP, SEATS)
    turns: Turns = {name: [] for name in ways}
    for number in range(1, rounds + 1):
        for name in _rotated(list(ways), number):
            turn = await ways[name].crowd(signins, SEATS)
            turns[name].append(turn)
            say(f"round {number} of {rounds}, {name}: {_line(turn)}")
    return turns


def _rotated(names: list[str], number: int) -> list[str]:
    """Return the order of a round: nobody always comes after the same one."""
    first = number % len(names)
    return names[first:] + names[:first]


def compared(turns: Turns) -> dict[str, Figure]:
    """Return P1 to P4, each from the turns of the same round."""

    def worker(turn: Turn) -> float:
        return turn.cost.cpu_ms[WORKER]

    notes = {
        "÷ that of a floor without the sandbox": median(_ratios(turns[OURS], turns[FLOOR_PLAIN], worker)),
        "÷ that of the usual way": median(_ratios(turns[OURS], turns[USUAL], worker)),
    }
    return {
        "P1": Figure(_ratios(turns[OURS], turns[FLOOR], lambda turn: turn.cost.cpu_ms[SERVER])),
        "P2": Figure(_ratios(turns[OURS], turns[FLOOR], worker), notes),
        "P3": Figure(_ratios(turns[OURS], turns[FLOOR], lambda turn: turn.per_s)),
        "P4": Figure(_ratios(turns[OURS], turns[USUAL], lambda turn: turn.per_s)),
    }


def described(turns: list[Turn]) -> dict[str, Any]:
    """Return what a sign-in cost one way."""
    last = turns[-1].cost

    def shown(of: Callable[[Turn], float]) -> dict[str, Any]:
        values = [of(turn) for turn in turns]
        return {"value": rounded(median(values)), "spread": [rounded(min(values)), rounded(max(values))]}

    return {
        "signins_per_s": shown(lambda turn: turn.per_s),
        "cpu_ms_per_signin": {
            name: shown(lambda turn, name=name: turn.cost.cpu_ms[name])  # type: ignore[misc]
            for name in _PARTS
        },
        "history_events": last.events,
        "history_bytes": last.history_bytes,
        "workflow_tasks": last.workflow_tasks,
        "grpc_calls": shown(lambda turn: made_calls(turn.cost.calls)),
        "grpc_calls_by_name": {name: rounded(count) for name, count in sorted(last.calls.items()) if count >= 0.1},
        "worker_memory_mib": rounded(last.memory_mib[WORKER]),
        "signins_measured": sum(turn.signins for turn in turns),
        "not_through": sum(len(turn.took.trouble) for turn in turns),
    }


async def paced(ways: Mapping[str, Way], most_per_s: float, seconds: float, rounds: int, say: Say) -> dict[str, Any]:
    """Measure people's waits at 20 % and 80 % of ``most_per_s``, in turns."""
    waits: dict[str, Any] = {name: {} for name in ways}
    for share in (0.2, 0.8):
        pooled: Turns = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                per_s = most_per_s * share
                pooled[name].append(await way.pace(max(10, round(per_s * seconds)), per_s))
        for name, turns in pooled.items():
            waits[name][f"at_{share:.0%}"] = _waits(turns, most_per_s * share)
            say(f"waits at {share:.0%}, {name}: {waits[name][f'at_{share:.0%}']}")
    return waits


def _waits(turns: list[Turn], per_s: float) -> dict[str, Any]:
    mails = [wait for turn in turns for wait in turn.took.request_to_mail_s]
    results = [wait for turn in turns for wait in turn.took.submit_to_result_s]
    medians = [Waits.of(turn.took.submit_to_result_s).as_json()["p50"] for turn in turns]
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
    cpu = ", ".join(f"{name} {turn.cost.cpu_ms[name]:.1f}" for name in _PARTS)
    return f"{turn.per_s:.1f} sign-ins/s; CPU ms {cpu}; {len(turn.took.trouble)} not through"
