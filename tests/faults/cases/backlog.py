"""Temporal is away while very many records come: memory, polling, lag, and the way back."""

import asyncio
import time
from statistics import median
from typing import Final

from tests.faults import gauges
from tests.faults.case import Case
from tests.faults.evidence import ends
from tests.faults.people import Person, signs_in
from tests.faults.stage import Stage

_REPEATS: Final = 20  # each request comes so often: emitters are impatient too
_LATE: Final = 180  # codes for each, typed long ago: they are read, and need no call
_AT_ONCE: Final = 20
_AGE_S: Final = 5_000  # above the age and the lifetime of the stage's settings
_MOST_GROWTH_MIB: Final = 64
_LOOK_EVERY_S: Final = 1.0
_LONGEST_DRAIN_S: Final = 1_800
_ENDED: Final = (("signin.code_sent", "signin.expired"), ("signin.expired",))


async def backlog(stage: Stage) -> str:
    """Kill Temporal, let records pile up for long, and start it again; watch memory, the group, and the lag."""
    stage.quiet_within_s = _LONGEST_DRAIN_S
    worker = await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s, [signs_in]):
        await asyncio.sleep(stage.scale.pause_s)

    await stage.crowd.gone()
    await stage.recovered()
    await _lag_is_the_brokers(stage)
    before = median([gauges.memory_mib(worker) for _ in range(3)])
    assignments = await gauges.rebalances(worker)
    await stage.servers.kill_temporal()
    watching = asyncio.create_task(_most_memory(stage, 2 * stage.scale.outage_s))
    waiting = await _pile_up(stage)
    peak = await watching

    assert peak - before < _MOST_GROWTH_MIB, f"memory grew by {peak - before:.0f} MiB"
    assert worker.process.running, worker.process.last_output()
    assert await gauges.rebalances(worker) == assignments, "the group was rebalanced during the outage"

    await _lag_is_the_brokers(stage)
    held = sum((await gauges.lag(worker)).values())
    await stage.servers.revive_temporal()
    took_s = await stage.recovered()
    await _lag_is_the_brokers(stage)

    assert await gauges.rebalances(worker) == assignments, "the group was rebalanced while it drained"

    stage.crowd.send(signs_in)
    ids = [person.signin_id for person in waiting]
    await stage.eventually(lambda: _over(stage, ids), "every sign-in is over", within_s=_LONGEST_DRAIN_S)

    return (
        f"away for {2 * stage.scale.outage_s:.0f} s, {held:,} records waiting: memory {peak - before:+.0f} MiB, "
        f"no rebalance; drained in {took_s:.0f} s ({held / took_s:.0f}/s); the lag was the broker's"
    )


async def _pile_up(stage: Stage) -> list[Person]:
    """Produce 200 records for each of many people: a request, over and over, and codes that come too late."""
    people = [stage.newcomer() for _ in range(stage.scale.flood // 10)]
    for start in range(0, len(people), _AT_ONCE):
        some = people[start : start + _AT_ONCE]
        for person in some:
            person.expects_one_of(*_ENDED)
        await asyncio.gather(*(_produce(person) for person in some))
    return people


async def _produce(person: Person) -> None:
    await person.asks(times=_REPEATS)
    born = (("dlt-timestamp", str(int((time.time() - _AGE_S) * 1000)).encode()),)
    await person.wire.submit(person.signin_id, person.address, "12345678", times=_LATE, headers=born, fate="late")


async def _most_memory(stage: Stage, seconds: float) -> float:
    (worker,) = stage.workers
    most = 0.0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        most = max(most, gauges.memory_mib(worker))
        await asyncio.sleep(_LOOK_EVERY_S)
    return most


async def _lag_is_the_brokers(stage: Stage) -> None:
    """While nothing moves, the worker's lag is the broker's own: the end less what is committed."""
    (worker,) = stage.workers
    wanted = await ends(stage.servers.kafka.bootstrap_servers, stage.topics)

    async def same() -> bool:
        known = await stage.committed()
        said = await gauges.lag(worker)
        return all(said.get(place) == end - known.get(place, 0) for place, end in wanted.items())

    await stage.eventually(same, "the worker's lag is the broker's")


async def _over(stage: Stage, ids: list[str]) -> bool:
    return stage.wire.are_over(ids)


CASES = (
    Case(
        "backlog",
        "Temporal away while 200,000 records come in",
        backlog,
        {"SIGNIN_OTP__LIFETIME_S": "180"},
        within_s=3_600,
    ),
)
