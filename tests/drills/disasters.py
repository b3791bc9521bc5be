"""The disasters. Each says what people notice before and after, and fails if docs/disaster.md would be wrong."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiokafka import AIOKafkaConsumer

from deploy.local.events import submission_event
from deploy.local.waiting import eventually
from deploy.local.worker import new_key
from tests.drills.region import Person, Region
from tests.faults.kafka_admin import KafkaAdmin

Say = Callable[[str], None]
Drill = Callable[[Region, Say], Awaitable[None]]


def expect(say: Say, what: str, observed: object, expected: object) -> None:
    """Note an observation. Raises ``AssertionError`` if it is not what the document says."""
    say(f"{what}: {observed}")
    assert observed == expected, f"{what}: {observed!r}, not {expected!r}"


async def people_before(region: Region, say: Say) -> tuple[Person, Person, Person]:
    """Return three people: one has signed in, one has a code, one is locked out."""
    done = Person("ada")
    waiting = Person("bob")
    locked = Person("eve")
    expect(say, "before: Ada signs in", await done.signs_in(region), "succeeded")
    await waiting.asks(region)
    expect(say, "before: Bob requests a code", await waiting.hears(region), "code_sent")
    expect(
        say, "before: Eve has typed ten wrong codes and asks again", await locked.is_locked(region), "rejected locked"
    )
    return done, waiting, locked


async def temporal_lost(region: Region, say: Say) -> None:
    """Lose Temporal's database; the server comes back empty."""
    done, waiting, locked = await people_before(region, say)
    code = await waiting.reads_code(region)
    accounts = done.account

    began = time.monotonic()
    await region.lose_temporal()
    unread = Person("uma")
    await unread.asks(region)
    await region.worker.create_namespace()
    await eventually(region.worker.is_ready, "the worker is ready again", within_s=90)
    expect(say, "Uma, who asked meanwhile", await unread.hears(region), "code_sent")
    say(f"the worker was not restarted; from the loss to Uma's mail {time.monotonic() - began:.0f} s")

    expect(
        say, "Bob types the code of the mail he has", await waiting.types(region, code), "otp.rejected unknown_signin"
    )
    expect(say, "Bob starts over", await waiting.starts_over(region), "code_sent")
    expect(say, "Bob's new code", await waiting.types(region, await waiting.reads_code(region)), "succeeded")
    expect(say, "Eve asks again: her lock is gone", await locked.starts_over(region), "code_sent")
    expect(say, "Ada signs in again", await _again(done, region), "succeeded")
    expect(say, "Ada's account is the same as before", done.account == accounts, True)


async def inbound_topics_lost(region: Region, say: Say) -> None:
    """Delete both inbound topics, with records that nobody has read, and create them again."""
    done, waiting, locked = await people_before(region, say)
    code = await waiting.reads_code(region)
    unread = Person("uma")

    region.pause_worker()
    await unread.asks(region)
    admin = KafkaAdmin(region.kafka.bootstrap_servers)
    for topic in region.topics.inbound:
        await admin.delete_topic(topic)
    region.kill_worker()
    began = time.monotonic()
    await asyncio.sleep(2)
    await region.worker.create_topics()
    await region.worker.start()
    await region.listen()
    say(f"topics created and worker ready {time.monotonic() - began:.0f} s later")

    expect(say, "Bob types the code of the mail he has", await waiting.types(region, code), "succeeded")
    expect(say, "Eve asks again: her lock holds", await locked.starts_over(region), "rejected locked")
    expect(say, "Ada signs in again", await _again(done, region), "succeeded")
    expect(say, "Uma, whose request nobody had read", region.results_so_far(unread.signin_id), [])
    expect(say, "Uma's request is emitted again, with the same id", await _asks_again(unread, region), "code_sent")


async def inbound_topics_lost_while_running(region: Region, say: Say) -> None:
    """Do the same under a running worker, which nobody touches."""
    _, waiting, _ = await people_before(region, say)
    code = await waiting.reads_code(region)

    admin = KafkaAdmin(region.kafka.bootstrap_servers)
    for topic in region.topics.inbound:
        await admin.delete_topic(topic)
    began = time.monotonic()
    await eventually(lambda: _is_not(region.worker.is_ready), "the worker is not ready", within_s=60)
    say(f"the worker says that it is not ready after {time.monotonic() - began:.0f} s")
    await region.worker.create_topics()
    await eventually(region.worker.is_ready, "the worker is ready again", within_s=120)
    say(f"ready again {time.monotonic() - began:.0f} s after the loss, without a restart")
    await region.listen()
    expect(say, "Bob types the code of the mail he has", await waiting.types(region, code), "succeeded")


async def results_topic_lost(region: Region, say: Say) -> None:
    """Delete the results topic, let somebody type a code, and create the topic again."""
    done, waiting, _ = await people_before(region, say)
    code = await waiting.reads_code(region)

    admin = KafkaAdmin(region.kafka.bootstrap_servers)
    await admin.delete_topic(region.topics.results)
    await region.emit(region.topics.submitted, submission_event(waiting.signin_id, waiting.address, code))
    await eventually(lambda: _is_not(region.worker.is_ready), "the worker is not ready", within_s=90)
    say("a worker without its results topic is not ready")
    began = time.monotonic()
    await region.worker.create_topics()
    await region.listen()
    waiting.seen = 0

    expect(say, "Bob's answer, decided while there was no topic", await waiting.hears(region), "succeeded")
    say(f"it came {time.monotonic() - began:.0f} s after the topic")
    await eventually(region.worker.is_ready, "the worker is ready again", within_s=90)
    expect(say, "results of before on the new topic", region.results_so_far(done.signin_id), [])
    expect(say, "Ada signs in again", await _again(done, region), "succeeded")


async def account_key_lost(region: Region, say: Say) -> None:
    """Lose the account key; the worker starts with a new one."""
    done, waiting, locked = await people_before(region, say)
    code = await waiting.reads_code(region)
    account = done.account

    region.worker.settings["SIGNIN_KEYS__ACCOUNT"] = new_key()
    await region.worker.end()
    await region.worker.start()

    expect(
        say, "Bob types the code of the mail he has", await waiting.types(region, code), "otp.rejected unknown_signin"
    )
    expect(say, "Eve asks again: her lock is gone", await locked.starts_over(region), "code_sent")
    expect(say, "Ada signs in again", await _again(done, region), "succeeded")
    expect(say, "Ada's account is the same as before", done.account == account, False)


async def region_lost(region: Region, say: Say) -> None:
    """Lose the region with Kafka and Temporal; another one starts empty, with the same keys."""
    done, waiting, locked = await people_before(region, say)
    code = await waiting.reads_code(region)
    account = done.account
    records = await _copy(region)
    region.kill_worker()
    await region.stop()

    began = time.monotonic()
    other = Region(region.outside, region.keys)
    try:
        await other.start()
        say(f"the other region takes sign-ins after {time.monotonic() - began:.0f} s, servers included")
        waiting.seen = 0
        answer = await waiting.types(other, code)
        expect(say, "Bob types the code of the mail he has", answer, "otp.rejected unknown_signin")
        expect(say, "Bob's request is emitted again, with the same id", await _asks_again(waiting, other), "code_sent")
        again = await waiting.reads_code(other)
        expect(say, "the second mail has the same code as the first", again == code, False)
        expect(say, "Bob types it", await waiting.types(other, again), "succeeded")
        expect(say, "Eve asks again: her lock is gone", await locked.starts_over(other), "code_sent")

        old = done.signin_id
        expect(say, "Ada signs in again", await _again(done, other), "succeeded")
        expect(say, "Ada's account is the same as before", done.account == account, True)
        await _mirrored(other, records, old, say)
    finally:
        await other.stop()


async def _mirrored(region: Region, records: list[tuple[bytes, bytes]], signin_id: str, say: Say) -> None:
    """Copy the old requests into the new region's topic, as a mirror would, and see what becomes of Ada's."""
    before = len(region.outside.mail_server.mails)
    for key, value in records:
        assert region.upstream is not None
        await region.upstream.emit(region.topics.requested, value, key.decode())

    [outcome] = await region.results(signin_id, 1)
    say(f"the old region's {len(records)} requests are copied: a sign-in that had succeeded there has {outcome} here")
    await asyncio.sleep(3)
    say(f"mails that this caused: {len(region.outside.mail_server.mails) - before}")
    expect(say, "an old request that is mirrored counts as new", str(outcome), "code_sent")


async def _copy(region: Region) -> list[tuple[bytes, bytes]]:
    """Return the records of the requests topic."""
    reader = AIOKafkaConsumer(
        region.topics.requested, bootstrap_servers=region.kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    await reader.start()
    try:
        found = await reader.getmany(timeout_ms=5_000, max_records=500)
        batches = [found]
        while found := await reader.getmany(timeout_ms=1_000):
            batches.append(found)
    finally:
        await reader.stop()

    return [(record.key, record.value) for batch in batches for records in batch.values() for record in records]


async def _again(person: Person, region: Region) -> str:
    first = await person.starts_over(region)
    assert first == "code_sent", first
    return await person.types(region, await person.reads_code(region))


async def _asks_again(person: Person, region: Region) -> str:
    """Emit the request of the present sign-in once more."""
    await person.asks(region)
    return await person.hears(region)


async def _is_not(condition: Callable[[], Awaitable[bool]]) -> bool:
    return not await condition()


DRILLS: Final[dict[str, Drill]] = {
    "temporal": temporal_lost,
    "inbound": inbound_topics_lost,
    "inbound-running": inbound_topics_lost_while_running,
    "results": results_topic_lost,
    "account-key": account_key_lost,
    "region": region_lost,
}
