"""The consumer group's member against a real broker."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import CorruptRecordException
from aiokafka.protocol.fetch import FetchRequest

from consumers.ports import KafkaUnavailable, Partition, Record
from deploy.local.servers.backends import Kafka
from deploy.local.topics import Topics
from utils.kafka.access import KafkaAccess
from utils.kafka.source import KafkaSource
from utils.kafka.writers import emit

SIGNIN_ID = "rJ3hQ0m1TzC9vWcK8uYbXw"


class Listener:
    """Records what the source reports."""

    def __init__(self) -> None:
        self.owned: set[Partition] = set()
        self.revocations = 0
        self.assigned = asyncio.Event()

    async def on_revoked(self, partitions: Collection[Partition]) -> None:
        """Forget everything."""
        self.owned.clear()
        self.revocations += 1

    async def on_assigned(self, partitions: Collection[Partition]) -> None:
        """Replace what is owned."""
        self.owned = set(partitions)
        self.assigned.set()


@pytest.fixture
def access(kafka: Kafka) -> KafkaAccess:
    """Give access to the broker."""
    return KafkaAccess(kafka.bootstrap_servers)


@asynccontextmanager
async def joined(access: KafkaAccess, topics: Topics) -> AsyncIterator[tuple[KafkaSource, Listener]]:
    """Give a source that has its partitions."""
    inbound = [topics.requested, topics.submitted]
    source = KafkaSource(access, topics.group_id, inbound, metadata_max_age_ms=2_000)
    listener = Listener()
    await source.start(listener)

    try:
        async with asyncio.timeout(30):
            await polled_until(source, listener.assigned.is_set)
        yield source, listener
    finally:
        await source.stop()


async def polled_until(source: KafkaSource, done: Callable[[], bool]) -> list[Record]:
    """Poll until the condition holds; return what was read."""
    records: list[Record] = []
    async with asyncio.timeout(40):
        while not done():
            records += await source.poll(100, 100)

    return records


async def read(source: KafkaSource, count: int) -> list[Record]:
    """Poll until so many records are read."""
    records: list[Record] = []
    async with asyncio.timeout(30):
        while len(records) < count:
            records += await source.poll(200, 100)

    return records


async def test_a_record_is_read_as_it_was_emitted(access: KafkaAccess, topics: Topics) -> None:
    """A record has its key, value, headers and the broker's timestamp; position and end offset are known."""
    location = await emit(access, topics.requested, SIGNIN_ID.encode(), b"{}", [("traceparent", b"00")])
    async with joined(access, topics) as (source, listener):
        assert len(listener.owned) == 4

        [record] = await read(source, 1)

        assert (record.topic, record.partition, record.offset) == tuple(location)
        assert (record.key, record.value, record.headers) == (SIGNIN_ID.encode(), b"{}", (("traceparent", b"00"),))
        assert record.log_append_time
        assert abs(record.timestamp_ms / 1000 - datetime.now(UTC).timestamp()) < 60
        assert await source.position(record.topic_partition) == location.offset + 1
        assert (await source.logs([record.topic_partition]))[record.topic_partition].end == location.offset + 1


async def test_reading_starts_at_the_committed_offset(access: KafkaAccess, topics: Topics) -> None:
    """Only what is asked for is committed; going back, and the next member, read from there."""
    location = await emit(access, topics.requested, b"k", b"0")
    partition = Partition(topics.requested, location.partition)
    for value in (b"1", b"2"):
        await emit(access, topics.requested, b"k", value)

    async with joined(access, topics) as (source, _):
        assert [record.value for record in await read(source, 3)] == [b"0", b"1", b"2"]

        await source.seek_to_committed([partition, Partition("another", 0)])

        assert [record.value for record in await read(source, 3)] == [b"0", b"1", b"2"]

        await source.commit({partition: 2})
        await source.seek_to_committed([partition])

        assert [record.value for record in await read(source, 1)] == [b"2"]

    async with joined(access, topics) as (source, _):
        assert [record.value for record in await read(source, 1)] == [b"2"]


async def test_a_topic_is_known_by_its_id(access: KafkaAccess, topics: Topics) -> None:
    """Before anything is read, and as with its logs. A partition that has no leader yet is left out."""
    async with joined(access, topics) as (source, listener):
        topic_ids = await source.topic_ids()
        logs = await source.logs(listener.owned)

    assert topic_ids.keys() == {topics.requested, topics.submitted}
    assert logs
    assert all(log.topic_id == topic_ids[partition.topic] for partition, log in logs.items())


async def test_a_paused_partition_is_not_read_until_it_is_resumed(access: KafkaAccess, topics: Topics) -> None:
    """Pausing and resuming ignore partitions that are not assigned."""
    async with joined(access, topics) as (source, listener):
        source.pause([*listener.owned, Partition("another", 0)])
        await emit(access, topics.requested, b"k", b"later")

        assert await source.poll(500, 10) == []
        assert sum(log.end for log in (await source.logs(listener.owned)).values()) == 1

        source.resume([*listener.owned, Partition("another", 0)])

        assert len(await read(source, 1)) == 1


async def test_a_second_worker_takes_pairs_of_partitions(access: KafkaAccess, topics: Topics) -> None:
    """Partition n of both topics goes to one worker, and the first worker loses its partitions before that."""
    async with joined(access, topics) as (first, first_listener):
        source = KafkaSource(access, topics.group_id, [topics.requested, topics.submitted])
        listener = Listener()
        starting = asyncio.create_task(source.start(listener))
        await polled_until(first, lambda: first_listener.revocations > 0 and len(first_listener.owned) == 2)
        await starting
        await polled_until(source, lambda: len(listener.owned) == 2)

        assert {len({partition.number for partition in each.owned}) for each in (first_listener, listener)} == {1}
        assert await first.position(next(iter(listener.owned))) is None
        with pytest.raises(KafkaUnavailable):
            await first.commit({next(iter(listener.owned)): 0})

        await source.stop()


async def test_a_new_partition_is_found(access: KafkaAccess, topics: Topics) -> None:
    """A new partition of a topic is assigned once the metadata is refreshed."""
    async with joined(access, topics) as (source, listener):
        admin = AIOKafkaAdminClient(bootstrap_servers=access.bootstrap_servers)
        await admin.start()
        await admin.create_partitions({topics.requested: NewPartitions(3)})
        await admin.close()

        await polled_until(source, lambda: Partition(topics.requested, 2) in listener.owned)


async def test_an_aborted_transaction_is_skipped(access: KafkaAccess, topics: Topics) -> None:
    """A record of an aborted transaction is not read, and the position moves past it."""
    producer = AIOKafkaProducer(bootstrap_servers=access.bootstrap_servers, transactional_id=uuid.uuid4().hex)
    await producer.start()

    await producer.begin_transaction()
    await producer.send_and_wait(topics.requested, b"aborted", partition=0)
    await producer.abort_transaction()

    async with producer.transaction():
        await producer.send_and_wait(topics.requested, b"committed", partition=0)

    await producer.stop()
    partition = Partition(topics.requested, 0)

    async with joined(access, topics) as (source, _):
        [record] = await read(source, 1)

        assert record.value == b"committed"

        end = (await source.logs([partition]))[partition].end
        async with asyncio.timeout(10):
            while await source.position(partition) != end:
                assert await source.poll(100, 10) == []


async def test_a_failed_start_can_be_repeated(access: KafkaAccess, topics: Topics) -> None:
    """A start without brokers raises ``KafkaUnavailable`` and leaves nothing behind."""
    source = KafkaSource(KafkaAccess("127.0.0.1:1"), topics.group_id, [topics.requested])
    for _ in range(2):
        with pytest.raises(KafkaUnavailable):
            await source.start(Listener())
    await source.stop()


async def test_pauses_do_not_fetch_records_again(access: KafkaAccess, topics: Topics) -> None:
    """A partition that is paused and resumed again and again is fetched about once: what was prefetched is kept."""
    await send_filler(access, topics.requested, count=2_000, size=500)

    async with joined(access, topics) as (source, _):
        fetched = count_fetched_bytes(source)
        handled = 0
        async with asyncio.timeout(60):
            while handled < 2_000:
                records = await source.poll(200, 20)
                handled += len(records)
                source.pause([Partition(topics.requested, 0)])
                await source.poll(1, 20)
                source.resume([Partition(topics.requested, 0)])

    assert sum(fetched) / (2_000 * 500) < 2


@pytest.mark.parametrize("error", [ValueError(), CorruptRecordException()])
async def test_a_poll_that_raises_keeps_the_detection_of_missing_polls(
    access: KafkaAccess, topics: Topics, error: Exception
) -> None:
    """The client still measures how long nobody has polled, whether or not that poll had begun to wait."""
    await send_filler(access, topics.requested, count=1, size=1)

    async with joined(access, topics) as (source, _):
        await read(source, 1)
        consumer = source._consumer
        with pytest.raises((KafkaUnavailable, ValueError)):
            consumer._fetcher.fetched_records = raising(error)
            await source.poll(100, 100)
        with pytest.raises((KafkaUnavailable, ValueError)):
            consumer._coordinator.check_errors = raising(error)
            await source.poll(100, 100)

        await asyncio.sleep(0.01)
        assert consumer._subscription.fetcher_idle_time > 0
        del consumer._fetcher.fetched_records
        del consumer._coordinator.check_errors


def raising(error: Exception) -> Callable[..., Any]:
    """Return a function that raises."""

    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


async def send_filler(access: KafkaAccess, topic: str, count: int, size: int) -> None:
    """Produce ``count`` records of ``size`` bytes to partition 0."""
    async with AIOKafkaProducer(bootstrap_servers=access.bootstrap_servers, linger_ms=5) as producer:
        sent = [await producer.send(topic, b"x" * size, partition=0) for _ in range(count)]
        await asyncio.gather(*sent)


def count_fetched_bytes(source: KafkaSource) -> list[int]:
    """Return a list that grows by the bytes of records in each answer to a fetch."""
    client = source._consumer._client
    send = client.send
    sizes: list[int] = []

    async def counting_send(node: int, request: Any, **options: Any) -> Any:
        answer = await send(node, request, **options)
        if isinstance(request, FetchRequest):
            sizes.extend(len(partition[-1]) for _, partitions in answer.topics for partition in partitions)
        return answer

    client.send = counting_send
    return sizes
