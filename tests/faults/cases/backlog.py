"""A backlog: Temporal is down while very many records arrive. Watches memory, the group, the lag and the recovery."""

import asyncio
import time
from statistics import median
from typing import Final

from tests.faults import gauges
from tests.faults.case import Case
from tests.faults.evidence import end_offsets
from tests.faults.people import Person, signs_in
from tests.faults.stage import Stage

_REQUESTS_PER_PERSON: Final = 20  # repeats of the same request, as from an impatient emitter
_LATE_CODES_PER_PERSON: Final = 180  # these are read, but need no call to Temporal
_PEOPLE_AT_ONCE: Final = 20
_AGE_S: Final = 5_000  # more than the stage's settings for event age and code lifetime
_MAX_GROWTH_MIB: Final = 64
_LOOK_EVERY_S: Final = 1.0
_MAX_DRAIN_S: Final = 1_800
_POSSIBLE_OUTCOMES: Final = (("signin.code_sent", "signin.expired"), ("signin.expired",))


async def backlog(stage: Stage) -> str:
    """Kill Temporal, let a backlog grow, and restart it; watch memory, the group and the lag."""
    stage.recovery_timeout_s = _MAX_DRAIN_S
    worker = await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s, [signs_in]):
        await asyncio.sleep(stage.scale.pause_s)

    await stage.crowd.wait_until_done()
    await stage.wait_until_recovered()
    await _lag_matches_the_broker(stage)

    before = median([gauges.memory_mib(worker) for _ in range(3)])
    assignments = await gauges.rebalances(worker)
    await stage.servers.kill_temporal()
    watching = asyncio.create_task(_peak_memory_mib(stage, 2 * stage.scale.outage_s))
    waiting = await _produce_backlog(stage)
    peak = await watching

    assert peak - before < _MAX_GROWTH_MIB, f"memory grew by {peak - before:.0f} MiB"
    assert worker.process.running, worker.process.last_output()
    assert await gauges.rebalances(worker) == assignments, "the group was rebalanced during the outage"

    await _lag_matches_the_broker(stage)
    backlog = sum((await gauges.lag(worker)).values())
    await stage.servers.restart_temporal()
    took_s = await stage.wait_until_recovered()
    await _lag_matches_the_broker(stage)

    assert await gauges.rebalances(worker) == assignments, "the group was rebalanced while it drained"

    stage.crowd.start(signs_in)
    ids = [person.signin_id for person in waiting]
    await stage.eventually(lambda: _have_ended(stage, ids), "every sign-in has ended", within_s=_MAX_DRAIN_S)

    return (
        f"down for {2 * stage.scale.outage_s:.0f} s, {backlog:,} records waiting: memory {peak - before:+.0f} MiB, "
        f"no rebalance; drained in {took_s:.0f} s ({backlog / took_s:.0f}/s); the lag matched the broker's"
    )


async def _produce_backlog(stage: Stage) -> list[Person]:
    """Produce 200 records for each of many people: the same request repeatedly, and codes that come too late."""
    people = [stage.new_person() for _ in range(stage.scale.flood // 10)]
    for start in range(0, len(people), _PEOPLE_AT_ONCE):
        batch = people[start : start + _PEOPLE_AT_ONCE]
        for person in batch:
            person.expects_one_of(*_POSSIBLE_OUTCOMES)
        await asyncio.gather(*map(_produce, batch))

    return people


async def _produce(person: Person) -> None:
    await person.asks_for_code(times=_REQUESTS_PER_PERSON)
    created_at_ms = int((time.time() - _AGE_S) * 1000)
    await person.upstream.submit(
        person.signin_id,
        person.address,
        "12345678",
        times=_LATE_CODES_PER_PERSON,
        headers=(("dlt-timestamp", str(created_at_ms).encode()),),
        fate="late",
    )


async def _peak_memory_mib(stage: Stage, seconds: float) -> float:
    (worker,) = stage.workers
    peak = 0.0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        peak = max(peak, gauges.memory_mib(worker))
        await asyncio.sleep(_LOOK_EVERY_S)
    return peak


async def _lag_matches_the_broker(stage: Stage) -> None:
    """Wait until the worker reports the broker's lag (end offset minus committed offset). Nothing may be moving."""
    (worker,) = stage.workers
    ends = await end_offsets(stage.bootstrap_servers, stage.topics)

    async def same() -> bool:
        committed = await stage.committed_offsets()
        reported = await gauges.lag(worker)
        return all(reported.get(place) == end - committed.get(place, 0) for place, end in ends.items())

    await stage.eventually(same, "the worker's lag matches the broker's")


async def _have_ended(stage: Stage, ids: list[str]) -> bool:
    return stage.upstream.have_ended(ids)


CASES = (
    Case(
        "backlog",
        "Temporal down while 200,000 records arrive",
        backlog,
        {"SIGNIN_OTP__LIFETIME_S": "180"},
        within_s=3_600,
    ),
)
