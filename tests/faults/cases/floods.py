"""Too much of something: poison, one key, large records, Kafka refusing dead letters."""

import asyncio
import secrets
import time
from typing import Final

import httpx

from tests.faults.case import Case
from tests.faults.evidence import read_all
from tests.faults.ledger import Submission
from tests.faults.people import Person, mistyped, signs_in
from tests.faults.stage import Stage

_AT_ONCE: Final = 500
_DELAYED_S: Final = 60  # a sign-in on a busy machine, and far less than the flood takes
_DRAINED_WITHIN_S: Final = 1_800  # one mailbox takes one submission after the other
_MEGABYTE: Final = 1_000_000
_LARGEST: Final = 8 * 1024 * 1024
_HELD_BACK_S: Final = 30
_STALE_S = 4_000
_LATE_S = 5_000
_IGNORED_S = 90_000  # by the stage's settings


async def poison_flood(stage: Stage) -> str:
    """Produce a flood of garbage between people: they are served meanwhile."""
    await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s, [signs_in]):
        for _ in range(stage.scale.flood // _AT_ONCE or 1):
            some = min(_AT_ONCE, stage.scale.flood)
            garbage = (secrets.token_bytes(200) for _ in range(some))
            await asyncio.gather(*(stage.wire.poison(stage.topics.inbound[0], value) for value in garbage))
        await stage.recovered()

    return f"{stage.scale.flood:,} records of garbage"


async def dead_letter_breaker(stage: Stage) -> str:
    """Produce more garbage than the breaker allows: consumption stops, and goes on after a restart."""
    worker = await stage.start_worker(SIGNIN_DEAD_LETTERS__BREAKER_PER_MINUTE="50")
    await asyncio.gather(*(stage.wire.poison(stage.topics.requested, b"garbage") for _ in range(120)))

    async def is_open() -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            return "signin_consumer_breaker_open 1.0" in (await client.get(worker.metrics_url)).text

    await stage.eventually(is_open, "the breaker is open")
    written = len(await read_all(stage.servers.kafka.bootstrap_servers, stage.topics.dead_letters[0]))

    assert written == 50, f"{written} dead letters, though 50 a minute are allowed"

    for _ in range(3):
        stage.crowd.send(signs_in)

    await stage.terminate(worker)
    since = time.monotonic()
    worker.settings["SIGNIN_DEAD_LETTERS__BREAKER_PER_MINUTE"] = "0"
    await worker.start()
    await stage.recovered(since)

    return "stopped after 50 of 120; all done after a restart with the breaker off"


async def hot_key(stage: Stage) -> str:
    """Submit thousands of codes for one mailbox; everybody else is served meanwhile."""
    stage.quiet_within_s = _DRAINED_WITHIN_S
    await stage.start_worker()
    took = dict[str, float]()

    async def other(person: Person) -> None:
        begun = time.monotonic()
        await signs_in(person)
        took[person.signin_id] = time.monotonic() - begun

    victim = stage.newcomer()
    guessed = [f"otp.rejected wrong_code ({left} left)" for left in (4, 3, 2, 1, 0)]
    victim.expects("signin.code_sent", *guessed, "signin.failed too_many_attempts")
    await victim.asks()
    wrong = mistyped(await victim.reads_mail())
    ids = [secrets.token_hex(16) for _ in range(stage.scale.flood)]

    async with stage.crowd.coming(2 * stage.scale.every_s, [other]):
        for start in range(0, len(ids), _AT_ONCE):
            await asyncio.gather(*(_guess(stage, victim, wrong, one) for one in ids[start : start + _AT_ONCE]))

        took_s = await stage.recovered()
        await asyncio.gather(*(_guess(stage, victim, wrong, one) for one in ids[:20] + ids[-20:]))  # duplicates
        await stage.recovered()

    await stage.crowd.gone()
    beside, behind = _by_partition(stage, victim.signin_id, took)

    assert beside < _DELAYED_S, f"somebody in another partition took {beside:.0f} s"

    return (
        f"{len(ids):,} submissions, drained {took_s:.0f} s after the last; of the others the slowest took "
        f"{beside:.0f} s, in the same partition {behind:.0f} s"
    )


def _by_partition(stage: Stage, victim: str, took: dict[str, float]) -> tuple[float, float]:
    """Return the longest time of those whose codes lie in other partitions than the victim's, and of those in it."""
    places = {
        event.signin_id: partition for (_, partition, _), event in stage.ledger.entries if isinstance(event, Submission)
    }
    beside = [seconds for one, seconds in took.items() if places[one] != places[victim]]
    behind = [seconds for one, seconds in took.items() if places[one] == places[victim]]
    return max(beside, default=0), max(behind, default=0)


async def _guess(stage: Stage, victim: Person, code: str, submission_id: str) -> None:
    await stage.wire.submit(victim.signin_id, victim.address, code, submission_id=submission_id)


async def large_records(stage: Stage) -> str:
    """Produce values of 64 KiB to 4.5 MB, and headers of 1 MB."""
    await stage.admin.allow_messages(_LARGEST, (*stage.topics.inbound, *stage.topics.dead_letters))
    await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s):
        for size in (65_537, 1.9 * _MEGABYTE, 2.1 * _MEGABYTE, 4.5 * _MEGABYTE):
            for topic in stage.topics.inbound:
                await stage.wire.poison(topic, b'{"signin_id": "' + b"x" * int(size) + b'"}')

        person = stage.newcomer()
        person.expects("signin.code_sent", "signin.succeeded")
        headers = (("large", b"h" * _MEGABYTE),)
        await stage.wire.request(person.signin_id, person.address, headers=headers)
        code = await person.reads_mail()
        await stage.wire.submit(person.signin_id, person.address, code, headers=headers)
        await stage.wire.poison(stage.topics.submitted, b"garbage", headers)
        await stage.recovered()

    return "large values are dead letters, large headers do not matter"


async def old_events(stage: Stage) -> str:
    """Produce events that are too old for what they ask, between good ones."""
    await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s):
        for _ in range(stage.scale.rounds):
            stale, gone = stage.newcomer(), stage.newcomer()
            stale.expects("signin.rejected stale", mails=0)
            await stage.wire.request(stale.signin_id, stale.address, headers=_born(_STALE_S))
            await stage.wire.submit(stale.signin_id, stale.address, "12345678", headers=_born(_LATE_S), fate="late")
            await stage.wire.request(gone.signin_id, gone.address, headers=_born(_IGNORED_S), fate="ignored")
            await stage.wire.submit(gone.signin_id, gone.address, "1", headers=_born(_IGNORED_S), fate="ignored")
        await stage.recovered()

    return "stale, late and ignored as they should be"


def _born(age_s: int) -> tuple[tuple[str, bytes], ...]:
    return (("dlt-timestamp", str(int((time.time() - age_s) * 1000)).encode()),)


CASES = (
    Case("poison-flood", "10,000 records of garbage", poison_flood, {"SIGNIN_DEAD_LETTERS__BREAKER_PER_MINUTE": "0"}),
    Case("poison-breaker", "more dead letters a minute than allowed", dead_letter_breaker),
    Case("hot-key", "10,000 submissions to one mailbox, then duplicates of them", hot_key, within_s=3_600),
    Case("large-records", "values up to 4.5 MB, headers of 1 MB", large_records),
    Case("old-events", "events too old for what they ask", old_events),
)
