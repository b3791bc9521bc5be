"""The producer and its writers against a real broker."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaConsumer

from activities.errors import PublishUnavailable
from consumers.ports import KafkaUnavailable, Record, RecordRefused
from deploy.local.servers.backends import Kafka
from deploy.local.topics import Topics
from schemas.results import ResultEvent, SignInExpired
from utils.kafka.access import KafkaAccess
from utils.kafka.producer import MAX_DEAD_LETTER_BYTES, ReliableProducer
from utils.kafka.writers import KafkaDeadLetterWriter, ResultPublisher

EXPIRED = ResultEvent(
    result=SignInExpired(signin_id="rJ3hQ0m1TzC9vWcK8uYbXw", occurred_at=datetime(2026, 11, 23, tzinfo=UTC))
)


@pytest.fixture
def access(kafka: Kafka) -> KafkaAccess:
    """Give access to the broker."""
    return KafkaAccess(kafka.bootstrap_servers)


@pytest.fixture
async def producer(access: KafkaAccess) -> AsyncIterator[ReliableProducer]:
    """Give a producer that accepts dead letters."""
    producer = ReliableProducer(access, max_request_bytes=MAX_DEAD_LETTER_BYTES)
    yield producer
    await producer.close()


async def read_all(access: KafkaAccess, topic: str, count: int) -> list[Record]:
    """Read so many records of a topic with one partition, from the beginning and without a group."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=access.bootstrap_servers, auto_offset_reset="earliest", max_partition_fetch_bytes=2**24
    )
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            found = [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()

    return [Record(r.topic, r.partition, r.offset, r.key, r.value, tuple(r.headers), r.timestamp) for r in found]


async def test_a_result_arrives_with_key_value_and_headers(
    access: KafkaAccess, topics: Topics, producer: ReliableProducer
) -> None:
    """Each publication writes the event's own wire form."""
    publisher = ResultPublisher(producer, topics.results)
    await publisher.publish(EXPIRED)
    await publisher.publish(EXPIRED)

    for record in await read_all(access, topics.results, 2):
        assert (record.key, record.value) == (EXPIRED.key(), EXPIRED.value())
        assert list(record.headers) == list(EXPIRED.headers())


async def test_publishing_without_brokers_is_unavailable() -> None:
    """Publishing raises ``PublishUnavailable`` in bounded time, and closing ends in bounded time too."""
    producer = ReliableProducer(KafkaAccess("127.0.0.1:1"), timeout_s=2)

    async with asyncio.timeout(10):
        with pytest.raises(PublishUnavailable):
            await ResultPublisher(producer, "nothing").publish(EXPIRED)
        await producer.close()


async def test_a_missing_topic_does_not_delay_other_records(access: KafkaAccess, topics: Topics) -> None:
    """A record for a topic that cannot exist fails, and the next record is written."""
    producer = ReliableProducer(access, timeout_s=2)

    with pytest.raises(KafkaUnavailable):
        await producer.send("no topic may have such a name", b"key", b"value")

    assert (await producer.send(topics.results, b"key", b"value")).offset == 0

    await producer.close()


async def test_the_record_after_a_refused_one_arrives(
    access: KafkaAccess, topics: Topics, producer: ReliableProducer
) -> None:
    """After the broker refuses a record that is too large for the topic, the producer still works."""
    with pytest.raises(KafkaUnavailable):
        await producer.send(topics.results, b"key", b"x" * 3_000_000)

    await producer.send(topics.results, b"key", b"small")

    assert [record.value for record in await read_all(access, topics.results, 1)] == [b"small"]


async def test_a_record_above_the_producers_own_limit_fails_alone(
    access: KafkaAccess, topics: Topics, producer: ReliableProducer
) -> None:
    """It is refused before it is queued: what is queued beside it is written."""
    await producer.send(topics.results, b"key", b"the first")
    neighbours = [asyncio.ensure_future(producer.send(topics.results, b"key", b"small")) for _ in range(3)]
    await asyncio.sleep(0)

    with pytest.raises(RecordRefused):
        await producer.send(topics.results, b"key", b"x" * (MAX_DEAD_LETTER_BYTES + 1))

    assert [location.offset for location in await asyncio.gather(*neighbours)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (b"\xff\x00", b"\xfe{", [("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None)]),
        (b"tombstone", None, []),
        (None, b"no key", [("content-type", b"\xff")]),
        (None, None, [("neither", b"key nor value")]),
    ],
)
async def test_a_dead_letter_is_written_byte_for_byte(
    access: KafkaAccess,
    topics: Topics,
    producer: ReliableProducer,
    key: bytes | None,
    value: bytes | None,
    headers: list[tuple[str, bytes | None]],
) -> None:
    """Key, value and headers are written unchanged, including repeats, nulls and tombstones."""
    await KafkaDeadLetterWriter(producer).write(topics.dead_letters[0], key, value, headers)
    [record] = await read_all(access, topics.dead_letters[0], 1)
    assert (record.key, record.value, list(record.headers)) == (key, value, headers)
