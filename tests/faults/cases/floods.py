"""Too much of something: poison records, one hot key, large records, old events."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Final

import httpx

from tests.faults.case import Case
from tests.faults.evidence import read_topic
from tests.faults.ledger import Submission
from tests.faults.people import Person, mistyped, signs_in
from tests.faults.stage import Stage

_AT_ONCE: Final = 500
_MAX_DELAY_S: Final = 60  # enough for a sign-in on a busy machine, and far less than the flood takes
_DRAIN_TIMEOUT_S: Final = 1_800  # one mailbox handles one submission at a time
_MEGABYTE: Final = 1_000_000
_MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024

# Ages of events that are stale, late and ignored under the stage's settings.
_STALE_S: Final = 4_000
_LATE_S: Final = 5_000
_IGNORED_S: Final = 90_000


async def poison_flood(stage: Stage) -> str:
    """Produce a flood of garbage while people sign in: they are served meanwhile."""
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s, [signs_in]):
        for _ in range(stage.scale.flood // _AT_ONCE or 1):
            count = min(_AT_ONCE, stage.scale.flood)
            garbage = (secrets.token_bytes(200) for _ in range(count))
            poison = stage.upstream.poison
            await asyncio.gather(*(poison(stage.topics.requested, value) for value in garbage))
        await stage.wait_until_recovered()

    return f"{stage.scale.flood:,} records of garbage"


async def dead_letter_breaker(stage: Stage) -> str:
    """Produce more garbage than the breaker allows: consumption stops, and resumes after a restart."""
    worker = await stage.start_worker(SIGNIN_DEAD_LETTERS__BREAKER_PER_MINUTE="50")
    await stage.emit_garbage(120)

    async def is_open() -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            return "signin_consumer_breaker_open 1.0" in (await client.get(worker.metrics_url)).text

    await stage.eventually(is_open, "the breaker is open")
    written = len(await read_topic(stage.bootstrap_servers, stage.topics.dead_letters[0]))

    assert written == 50, f"{written} dead letters, though 50 a minute are allowed"

    for _ in range(3):
        stage.crowd.start(signs_in)

    await stage.terminate(worker)
    since = time.monotonic()
    worker.settings["SIGNIN_DEAD_LETTERS__BREAKER_PER_MINUTE"] = "0"
    await worker.start()
    await stage.wait_until_recovered(since)

    return "stopped after 50 of 120; all done after a restart with the breaker off"


async def hot_key(stage: Stage) -> str:
    """Submit thousands of codes for one mailbox; everybody else is served meanwhile."""
    stage.recovery_timeout_s = _DRAIN_TIMEOUT_S
    await stage.start_worker()
    took = dict[str, float]()

    async def other(person: Person) -> None:
        begun = time.monotonic()
        await signs_in(person)
        took[person.signin_id] = time.monotonic() - begun

    victim = stage.new_person()
    rejections = [f"otp.rejected wrong_code ({left} left)" for left in (4, 3, 2, 1, 0)]
    victim.expects("signin.code_sent", *rejections, "signin.failed too_many_attempts")
    await victim.asks_for_code()
    wrong = mistyped(await victim.reads_mail())
    ids = [secrets.token_hex(16) for _ in range(stage.scale.flood)]

    async with stage.crowd.arriving(2 * stage.scale.every_s, [other]):
        for start in range(0, len(ids), _AT_ONCE):
            await _guess(stage, victim, wrong, ids[start : start + _AT_ONCE])

        took_s = await stage.wait_until_recovered()
        await _guess(stage, victim, wrong, ids[:20] + ids[-20:])  # duplicates
        await stage.wait_until_recovered()

    await stage.crowd.wait_until_done()
    same, others = _slowest_by_partition(stage, victim.signin_id, took)

    assert others < _MAX_DELAY_S, f"somebody in another partition took {others:.0f} s"

    return (
        f"{len(ids):,} submissions, drained {took_s:.0f} s after the last; the slowest other sign-in took "
        f"{others:.0f} s in another partition, {same:.0f} s in the same one"
    )


def _slowest_by_partition(stage: Stage, victim: str, took: dict[str, float]) -> tuple[float, float]:
    """Return the slowest sign-in whose code shares the victim's partition, and the slowest in other partitions."""
    partitions = dict[str, int]()
    for (_, partition, _), event in stage.ledger.entries:
        if isinstance(event, Submission):
            partitions[event.signin_id] = partition

    same = [seconds for one, seconds in took.items() if partitions[one] == partitions[victim]]
    others = [seconds for one, seconds in took.items() if partitions[one] != partitions[victim]]
    return max(same, default=0), max(others, default=0)


async def _guess(stage: Stage, victim: Person, code: str, submission_ids: Sequence[str]) -> None:
    async def guess(submission_id: str) -> None:
        await stage.upstream.submit(victim.signin_id, victim.address, code, submission_id=submission_id)

    await asyncio.gather(*map(guess, submission_ids))


async def large_records(stage: Stage) -> str:
    """Produce values from 64 KiB to 4.5 MB, and headers of 1 MB."""
    await stage.admin.set_max_message_bytes(_MAX_MESSAGE_BYTES, (*stage.topics.inbound, *stage.topics.dead_letters))
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        for size in (65_537, 1.9 * _MEGABYTE, 2.1 * _MEGABYTE, 4.5 * _MEGABYTE):
            for topic in stage.topics.inbound:
                value = b'{"signin_id": "' + b"x" * int(size) + b'"}'
                await stage.upstream.poison(topic, value)

        person = stage.new_person()
        person.expects("signin.code_sent", "signin.succeeded")
        headers = (("large", b"h" * _MEGABYTE),)
        await stage.upstream.request(person.signin_id, person.address, headers=headers)
        code = await person.reads_mail()
        await stage.upstream.submit(person.signin_id, person.address, code, headers=headers)
        await stage.upstream.poison(stage.topics.submitted, b"garbage", headers)
        await stage.wait_until_recovered()

    return "large values became dead letters; large headers made no difference"


async def old_events(stage: Stage) -> str:
    """Produce events that are too old, among good ones."""
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        for _ in range(stage.scale.rounds):
            await _produce_old_events(stage)
        await stage.wait_until_recovered()

    return "rejected as stale, late or ignored, as expected"


async def _produce_old_events(stage: Stage) -> None:
    stale = stage.new_person()
    stale.expects("signin.rejected stale", mails=0)
    await stage.upstream.request(stale.signin_id, stale.address, headers=_aged(_STALE_S))
    await stage.upstream.submit(stale.signin_id, stale.address, "12345678", headers=_aged(_LATE_S), fate="late")

    older = stage.new_person()
    await stage.upstream.request(older.signin_id, older.address, headers=_aged(_IGNORED_S), fate="ignored")
    await stage.upstream.submit(older.signin_id, older.address, "1", headers=_aged(_IGNORED_S), fate="ignored")


def _aged(age_s: int) -> tuple[tuple[str, bytes], ...]:
    created_at_ms = int((time.time() - age_s) * 1000)
    return (("dlt-timestamp", str(created_at_ms).encode()),)


CASES = (
    Case("poison-flood", "10,000 records of garbage", poison_flood, {"SIGNIN_DEAD_LETTERS__BREAKER_PER_MINUTE": "0"}),
    Case("poison-breaker", "more dead letters per minute than allowed", dead_letter_breaker),
    Case("hot-key", "10,000 submissions to one mailbox, then duplicates of them", hot_key, within_s=3_600),
    Case("large-records", "values up to 4.5 MB, headers of 1 MB", large_records),
    Case("old-events", "events that are too old", old_events),
)
