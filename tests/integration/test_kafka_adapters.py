"""The Kafka adapters against a real broker."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from activities.errors import PublishUnavailable
from consumers.ports import KafkaUnavailable, Partition, Record
from deploy.local.servers.backends import Kafka
from schemas.results import ResultEvent, SignInExpired
from deploy.local.topics import Topics
from utils.kafka.producer import MAX_DEAD_LETTER_BYTES, ReliableProducer
from utils.kafka.access import KafkaAccess
from utils.kafka.writers import KafkaDeadLetterWriter, ResultPublisher, emit
from utils.kafka.source import KafkaSource
from utils.kafka.topics import create_topics, look_up_topics, planned_topics

SIGNIN_ID = "rJ3hQ0m1TzC9vWcK8uYbXw"
NOBODY = KafkaAccess("127.0.0.1:1")


class Listener:
    """Keeps what the source tells."""

    def __init__(self) -> None:
        self.owned: set[Partition] = set()
        self.revocations = 0
        self.assigned = asyncio.Event()

    async def on_revoked(self, partitions: Collection[Partition]) -> None:
        """Forget everything."""
        self.owned.clear()
        self.revocations += 1

    async def on_assigned(self, partitions: Collection[Partition]) -> None:
        """Keep what is owned."""
        self.owned = set(partitions)
        self.assigned.set()


@pytest.fixture
def access(kafka: Kafka) -> KafkaAccess:
    """Give access to the broker."""
    return KafkaAccess(kafka.bootstrap_servers)


@pytest.fixture
async def producer(access: KafkaAccess) -> AsyncIterator[ReliableProducer]:
    """Give a producer."""
    producer = ReliableProducer(access, max_request_bytes=MAX_DEAD_LETTER_BYTES)
    yield producer
    await producer.close()


@asynccontextmanager
async def joined(access: KafkaAccess, topics: Topics) -> AsyncIterator[tuple[KafkaSource, Listener]]:
    """Give a source that has its partitions."""
    inbound = [topics.requested, topics.submitted]
    source, listener = KafkaSource(access, topics.group_id, inbound, metadata_max_age_ms=2_000), Listener()
    await source.start(listener)

    try:
        async with asyncio.timeout(30):
            await polled_until(source, listener.assigned.is_set)
        yield source, listener
    finally:
        await source.stop()


async def polled_until(source: KafkaSource, done: Callable[[], bool]) -> list[Record]:
    """Poll until something has happened; return what was read."""
    records: list[Record] = []
    async with asyncio.timeout(40):
        while not done():
            records += await source.poll(100, 100)
    return records


async def read(source: KafkaSource, count: int) -> list[Record]:
    """Poll until so many records are there."""
    records: list[Record] = []
    async with asyncio.timeout(30):
        while len(records) < count:
            records += await source.poll(200, 100)
    return records


async def all_of(access: KafkaAccess, topic: str, count: int) -> list[Record]:
    """Read a topic of one partition from its beginning, without a group."""
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
    """What lies in the topic is the event's own wire form, each time it is published."""
    event = ResultEvent(result=SignInExpired(signin_id=SIGNIN_ID, occurred_at=datetime(2026, 11, 23, tzinfo=UTC)))
    publisher = ResultPublisher(producer, topics.results)
    await publisher.publish(event)
    await publisher.publish(event)
    for record in await all_of(access, topics.results, 2):
        assert (record.key, record.value) == (event.key(), event.value())
        assert list(record.headers) == list(event.headers())


async def test_without_brokers_publishing_is_unavailable() -> None:
    """A result that Kafka does not take is an error in bounded time, and closing is too."""
    producer = ReliableProducer(NOBODY, timeout_s=2)
    event = ResultEvent(result=SignInExpired(signin_id=SIGNIN_ID, occurred_at=datetime.now(UTC)))
    async with asyncio.timeout(10):
        with pytest.raises(PublishUnavailable):
            await ResultPublisher(producer, "nothing").publish(event)
        await producer.close()


async def test_a_topic_that_is_missing_is_unavailable_and_others_go_on(access: KafkaAccess, topics: Topics) -> None:
    """A record that cannot be written delays none that can."""
    producer = ReliableProducer(access, timeout_s=2)
    with pytest.raises(KafkaUnavailable):
        await producer.send("no topic may have such a name", b"key", b"value")
    assert (await producer.send(topics.results, b"key", b"value")).offset == 0
    await producer.close()


async def test_after_a_refused_record_the_next_one_arrives(
    access: KafkaAccess, topics: Topics, producer: ReliableProducer
) -> None:
    """The broker refuses a record that is too large for the topic; the sequence of the producer is not lost."""
    with pytest.raises(KafkaUnavailable):
        await producer.send(topics.results, b"key", b"x" * 3_000_000)
    await producer.send(topics.results, b"key", b"small")
    assert [record.value for record in await all_of(access, topics.results, 1)] == [b"small"]


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (b"\xff\x00", b"\xfe{", [("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None)]),
        (b"tombstone", None, []),
        (None, b"no key", [("content-type", b"\xff")]),
        (None, None, [("neither", b"key nor value")]),
    ],
)
async def test_a_dead_letter_is_kept_byte_for_byte(
    access: KafkaAccess,
    topics: Topics,
    producer: ReliableProducer,
    key: bytes | None,
    value: bytes | None,
    headers: list[tuple[str, bytes | None]],
) -> None:
    """Key, value and headers are written as they are: repeats, nulls, tombstones and all."""
    await KafkaDeadLetterWriter(producer).write(topics.dead_letters[0], key, value, headers)
    [record] = await all_of(access, topics.dead_letters[0], 1)
    assert (record.key, record.value, list(record.headers)) == (key, value, headers)


async def test_topics_are_created_once_and_as_planned(access: KafkaAccess) -> None:
    """The second time nothing is created, and nothing differs."""
    run = uuid.uuid4().hex
    plans = planned_topics(f"in.{run}", f"codes.{run}", f"out.{run}", partitions=3)
    first = await create_topics(access, plans)
    second = await create_topics(access, plans)

    assert [report.created for report in first] == [True] * 5
    assert [(report.created, report.differences) for report in second] == [(False, [])] * 5

    states = await look_up_topics(access, [f"in.{run}", f"in.{run}.dlt", "not there"])

    assert set(states) == {f"in.{run}", f"in.{run}.dlt"}
    assert states[f"in.{run}"].partitions == 3
    assert states[f"in.{run}"].settings["message.timestamp.type"] == "LogAppendTime"
    assert int(states[f"in.{run}.dlt"].settings["retention.ms"]) <= 86_400_000


async def test_a_topic_that_is_there_is_compared_and_not_changed(access: KafkaAccess) -> None:
    """A topic made otherwise is reported with what is different."""
    run = uuid.uuid4().hex
    await create_topics(access, planned_topics(f"a.{run}", f"b.{run}", f"c.{run}", partitions=1)[4:])
    [report] = await create_topics(access, planned_topics(f"c.{run}", "", "", partitions=2)[:1])
    assert report.created is False
    assert len(report.differences) == 2
    assert (await look_up_topics(access, [f"c.{run}"]))[f"c.{run}"].partitions == 1


async def test_a_topic_that_the_broker_refuses_is_an_error(access: KafkaAccess) -> None:
    """A name that is not allowed is named in the error."""
    with pytest.raises(KafkaUnavailable, match="bad name"):
        await create_topics(access, planned_topics("bad name", "x", "y")[:1])


async def test_without_brokers_the_look_up_is_unavailable() -> None:
    """``check`` gets one kind of error."""
    with pytest.raises(KafkaUnavailable):
        await look_up_topics(NOBODY, ["signin.requested"])


async def test_a_record_is_read_as_it_was_emitted(access: KafkaAccess, topics: Topics) -> None:
    """Key, value, headers and the broker's stamp are there; the ends too."""
    place = await emit(access, topics.requested, SIGNIN_ID.encode(), b"{}", [("traceparent", b"00")])
    async with joined(access, topics) as (source, listener):
        assert len(listener.owned) == 4

        [record] = await read(source, 1)

        assert (record.topic, record.partition, record.offset) == tuple(place)
        assert (record.key, record.value, record.headers) == (SIGNIN_ID.encode(), b"{}", (("traceparent", b"00"),))
        assert record.log_append_time
        assert abs(record.timestamp_ms / 1000 - datetime.now(UTC).timestamp()) < 60
        assert await source.position(record.topic_partition) == place.offset + 1
        assert (await source.end_offsets([record.topic_partition])) == {record.topic_partition: place.offset + 1}


async def test_what_is_committed_is_where_the_next_one_starts(access: KafkaAccess, topics: Topics) -> None:
    """Nothing is committed but what is asked for; rewinding reads from there again."""
    partition = Partition(topics.requested, (await emit(access, topics.requested, b"k", b"0")).partition)
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


async def test_a_paused_partition_is_not_read_until_it_is_resumed(access: KafkaAccess, topics: Topics) -> None:
    """Partitions that are not assigned are passed over."""
    async with joined(access, topics) as (source, listener):
        source.pause([*listener.owned, Partition("another", 0)])
        await emit(access, topics.requested, b"k", b"later")
        assert await source.poll(500, 10) == []
        assert sum((await source.end_offsets(listener.owned)).values()) == 1
        source.resume([*listener.owned, Partition("another", 0)])
        assert len(await read(source, 1)) == 1


async def test_a_second_worker_takes_pairs_of_partitions(access: KafkaAccess, topics: Topics) -> None:
    """Partition n of both topics lands on one worker; the revoke is told before the new assignment."""
    async with joined(access, topics) as (first, first_listener):
        source, listener = KafkaSource(access, topics.group_id, [topics.requested, topics.submitted]), Listener()
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
    """A topic that grows is read whole once the metadata are asked for again."""
    async with joined(access, topics) as (source, listener):
        admin = AIOKafkaAdminClient(bootstrap_servers=access.bootstrap_servers)
        await admin.start()
        await admin.create_partitions({topics.requested: NewPartitions(3)})
        await admin.close()
        await polled_until(source, lambda: Partition(topics.requested, 2) in listener.owned)


async def test_an_aborted_transaction_is_skipped(access: KafkaAccess, topics: Topics) -> None:
    """What an emitter took back is not read, and the position moves past it."""
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

        end = (await source.end_offsets([partition]))[partition]
        async with asyncio.timeout(10):
            while await source.position(partition) != end:
                assert await source.poll(100, 10) == []


async def test_joining_without_brokers_is_unavailable_and_can_be_tried_again(
    access: KafkaAccess, topics: Topics
) -> None:
    """A start that failed leaves nothing behind."""
    source = KafkaSource(NOBODY, topics.group_id, [topics.requested])
    for _ in range(2):
        with pytest.raises(KafkaUnavailable):
            await source.start(Listener())
    await source.stop()
    assert TopicPartition("a", 0) == Partition("a", 0)
