"""The measurements of ``make bench``, in order."""

from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from tests.benchmarks.performance.arena import FLOOR, FLOOR_PLAIN, OURS, USUAL, Arena, Way
from tests.benchmarks.performance.decoding import records_per_s
from tests.benchmarks.performance.figures import Figure, Waits
from tests.benchmarks.performance.lingering import costs_of_ends, settings
from tests.benchmarks.performance.peers import Peer
from tests.benchmarks.performance.rounds import (
    Log,
    Rounds,
    Turns,
    crowd_rounds,
    idle_cpu,
    paced_rounds,
    ratios_at_a_pace,
    ratios_in_a_crowd,
    summary,
    wait_times,
)

_IDLE_S: Final = 5.0
CALLERS: Final = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Scale:
    """The size of a run. Rounds have time limits, because the machine may be shared."""

    rounds: Rounds = Rounds(7, 170)
    signins: int = 150
    calm: Rounds = Rounds(3, 60)
    calm_s: float = 10.0
    busy: Rounds = Rounds(6, 90)
    busy_s: float = 5.0
    ends: int = 64
    end_rounds: int = 2
    bare: int = 40
    sweeps: int = 2
    loop_calls: int = 128
    bridge: Rounds = Rounds(6, 40)
    bridge_events: int = 400


FULL: Final = Scale()
_ONCE: Final = Rounds(1, 1)
_TWICE: Final = Rounds(2, 1)
SHORT: Final = Scale(
    rounds=_TWICE,
    signins=60,
    calm=_ONCE,
    calm_s=6.0,
    busy=_ONCE,
    busy_s=6.0,
    ends=24,
    end_rounds=1,
    bare=10,
    sweeps=1,
    loop_calls=50,
    bridge=_TWICE,
    bridge_events=300,
)


@dataclass
class Measurements:
    """The results of a run."""

    figures: dict[str, Figure] = field(default_factory=dict)
    ways: dict[str, dict[str, Any]] = field(default_factory=dict)
    idle: dict[str, dict[str, float]] = field(default_factory=dict)
    repeats: dict[str, int] = field(default_factory=dict)
    scaled: dict[str, Any] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether everybody could sign in."""
        return not any(load.get("not_through") for load in (*self.ways.values(), self.scaled))


async def measure(arena: Arena, scale: Scale, found: Measurements, log: Log) -> None:
    """Measure everything. ``found`` keeps the results so far if something fails later.

    P9 and P1b are measured on the dev server alone: the one needs no server, the other a server that does little else.
    """
    floor, caller = await arena.floor()
    if not arena.on_cluster:
        log("decoding …")
        found.figures["P9"] = Figure(await records_per_s(5))
        # Ends are measured first, so that no other mailboxes end meanwhile.
        found.figures |= await _ends(arena, floor, caller, scale, log)

    ours, _ = await arena.ours()
    plain, _ = await arena.floor(sandboxed=False)
    ways = {FLOOR: floor, OURS: ours, USUAL: await arena.usual(), FLOOR_PLAIN: plain}
    found.idle = await idle_cpu(ways, _IDLE_S)
    log(f"idle, CPU ms per second: {found.idle}")

    turns = await crowd_rounds(ways, scale.rounds, scale.signins, log)
    found.figures |= ratios_in_a_crowd(turns)
    for name in (FLOOR, OURS, USUAL):
        found.ways[name] = {**summary(turns[name]), "idle_cpu_ms_per_s": found.idle[name]}

    at_a_pace = {name: ways[name] for name in (OURS, USUAL, FLOOR)}
    await _waits(arena, caller, at_a_pace, turns, scale, found, log)
    found.repeats = await arena.world.ask("repeats", way=OURS)

    found.figures |= await _bridge(arena, scale, log)


async def _waits(
    arena: Arena,
    caller: Peer,
    ways: dict[str, Way],
    turns: Turns,
    scale: Scale,
    found: Measurements,
    log: Log,
) -> None:
    peak_per_s = median(turn.per_s for turn in turns[OURS])
    calm: Turns = {OURS: [], USUAL: []}
    bare: list[dict[str, float]] = []

    for _ in scale.calm:
        bare.append(await _bare_ms(arena, caller, scale, log))
        pair = await paced_rounds(
            {name: ways[name] for name in calm}, peak_per_s * 0.2, scale.calm_s, Rounds(1, 0), log
        )
        for name, turns_at_a_pace in pair.items():
            calm[name] += turns_at_a_pace

    busy = await paced_rounds(ways, peak_per_s * 0.8, scale.busy_s, scale.busy, log)

    for name in (OURS, USUAL):
        found.ways[name]["waits"] = {
            "at_20%": wait_times(calm[name], peak_per_s * 0.2),
            "at_80%": wait_times(busy[name], peak_per_s * 0.8),
        }

    found.figures |= ratios_at_a_pace(busy)
    p50s = found.ways[OURS]["waits"]["at_20%"]["submit_to_result_p50_ms_of_rounds"]
    notes = {f"{name}, ms": median(each[name] for each in bare) for name in bare[0]}
    notes["ours, ms"] = median(p50s)
    ratios = [p50 / sum(each.values()) for p50, each in zip(p50s, bare, strict=True)]
    found.figures["P6"] = Figure(ratios, notes)


async def _bare_ms(arena: Arena, caller: Peer, scale: Scale, log: Log) -> dict[str, float]:
    """Measure alone, before each round, the calls that the wait for a result is compared with."""
    bare = await caller.ask("bare", times=scale.bare)
    bare["publish_s"] = await arena.world.ask("publish_time_s", way=OURS, times=scale.bare)
    bare_ms = {name.removesuffix("_s"): value * 1e3 for name, value in bare.items()}
    log(f"bare, ms: {', '.join(f'{name} {value:.2f}' for name, value in bare_ms.items())}")
    return bare_ms


async def _bridge(arena: Arena, scale: Scale, log: Log) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    async with arena.bridge() as bridge:
        for kind in ("starts", "signals"):
            best = await _best_concurrency(bridge, kind, scale)
            await bridge.ask("bridge", kind=kind, events=scale.bridge_events)  # the limit adapts
            rounds = [await _bridge_round(bridge, kind, best, scale, turn) for turn in scale.bridge]

            rates = [consumer["per_s"] / loop["per_s"] for consumer, loop in rounds]
            p99s = [_p99(consumer) / _p99(loop) for consumer, loop in rounds]
            notes = {
                "best concurrency": float(best),
                "loop, events/s": median(loop["per_s"] for _, loop in rounds),
                "bridge, events/s": median(consumer["per_s"] for consumer, _ in rounds),
            }
            figures[f"P5 {kind}"] = Figure(rates, notes)
            figures[f"P5 {kind}, p99"] = Figure(p99s)
            log(f"consumer, {kind}: {median(rates):.2f} of a loop at its best ({best} callers)")

    return figures


async def _best_concurrency(bridge: Peer, kind: str, scale: Scale) -> int:
    """Return the number of callers with which a loop is fastest.

    This is measured before the rounds that are compared. The best of seven loops in one round would be the luckiest.
    """
    rates: dict[int, list[float]] = {callers: [] for callers in CALLERS}
    for _ in range(scale.sweeps):
        for callers in CALLERS:
            loop = await bridge.ask("loop", kind=kind, callers=callers, events=scale.loop_calls)
            rates[callers].append(loop["per_s"])

    return max(CALLERS, key=lambda callers: median(rates[callers]))


async def _bridge_round(
    bridge: Peer, kind: str, callers: int, scale: Scale, turn: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Let both make the same number of calls, in alternating order: a call leaves work for the server behind."""
    events = scale.bridge_events
    arguments = {"bridge": {}, "loop": {"callers": callers}}
    order = ("bridge", "loop") if turn % 2 else ("loop", "bridge")

    results = {name: await bridge.ask(name, kind=kind, events=events, **arguments[name]) for name in order}
    return results["bridge"], results["loop"]


def _p99(calls: dict[str, Any]) -> float:
    return Waits.of(calls["took_s"]).p99


async def _ends(arena: Arena, floor: Way, caller: Peer, scale: Scale, log: Log) -> dict[str, Figure]:
    ours, worker = await arena.ours("short-lived", settings(scale.ends))
    rounds = [await costs_of_ends(arena, ours, floor, caller, scale.ends) for _ in range(scale.end_rounds)]
    await worker.end()

    ends = [one for one in rounds if one is not None]
    if not ends:
        log("the end of a mailbox was not measured: the machine is too busy")
        return {}

    log(f"the end of a mailbox: {ends}")
    notes = {
        "÷ the end of an empty workflow by a timer": median(one.ours / one.bare for one in ends),
        "that end ÷ floor": median(one.bare / one.floor for one in ends),
        "ms per mailbox": median(one.ours for one in ends),
        "floor at that pace, ms": median(one.floor for one in ends),
    }

    return {"P1b": Figure([one.ours / one.floor for one in ends], notes)}
