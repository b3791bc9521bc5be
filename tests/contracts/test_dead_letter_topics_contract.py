"""What replays rely on: the fake does it, and so does a real Kafka."""

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from consumers.ports import (
    DeadLetterReader,
    Headers,
    InboundWriter,
    KafkaUnavailable,
    Partition,
    Record,
    RecordRefused,
    ReplayMark,
    ReplayStore,
)
from deploy.local.servers.backends import Kafka
from deploy.local.topics import Topics
from schemas.topics import dead_letter_topic
from tests.fakes.dead_letter_topics import FakeDeadLetterTopics, FakeInboundWriter
from utils.kafka.access import KafkaAccess
from utils.kafka.dead_letters import KafkaDeadLetterReader, KafkaReplayStore
from utils.kafka.producer import MAX_DEAD_LETTER_BYTES, ReliableProducer
from utils.kafka.writers import KafkaInboundWriter

VALUES = (b"0", b"1", b"2", b"3")


class Stage(Protocol):
    """The ports of a replay, and ways to reach behind them."""

    dead_letters: Partition
    requested: str

    @property
    def reader(self) -> DeadLetterReader:
        """The reader under test."""
        ...

    @property
    def store(self) -> ReplayStore:
        """The store under test."""
        ...

    @property
    def inbound(self) -> InboundWriter:
        """The writer under test."""
        ...

    async def prepare(self) -> None:
        """Append the four values, and remove the first of them as retention does."""
        ...

    async def inbound_records(self, partition: int, count: int) -> list[tuple[bytes | None, bytes | None, Headers]]:
        """Return the first ``count`` records on a partition of ``requested``."""
        ...


class FakeStage:
    """The fakes."""

    def __init__(self) -> None:
        self.reader = self.store = FakeDeadLetterTopics(dead_letter_topic("requested"))
        self.inbound = FakeInboundWriter()
        self.dead_letters = Partition(dead_letter_topic("requested"), 0)
        self.requested = "requested"

    async def prepare(self) -> None:
        """Fill the fake."""
        for value in VALUES:
            self.reader.append(Record(dead_letter_topic("requested"), 0, 0, b"k", value, [("h", None)]))
        self.reader.retain(self.dead_letters, 1)

    async def inbound_records(self, partition: int, count: int) -> list[tuple[bytes | None, bytes | None, Headers]]:
        """Read what the fake keeps."""
        records = [each.record for each in self.inbound.written if (each.partition or 0) % 2 == partition]
        return [(record.key, record.value, list(record.headers)) for record in records[:count]]


class KafkaStage:
    """Kafka."""

    def __init__(
        self,
        servers: str,
        topics: Topics,
        reader: KafkaDeadLetterReader,
        store: KafkaReplayStore,
        producer: ReliableProducer,
    ) -> None:
        self._servers = servers
        self.reader = reader
        self.store = store
        self.inbound = KafkaInboundWriter(producer)
        self.dead_letters = Partition(topics.dead_letters[0], 0)
        self.requested = topics.requested

    async def prepare(self) -> None:
        """Write to the topic, and delete from its beginning."""
        async with AIOKafkaProducer(bootstrap_servers=self._servers) as producer:
            for value in VALUES:
                await producer.send_and_wait(self.dead_letters.topic, value, key=b"k", headers=[("h", None)])
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers)
        await admin.start()
        await admin.delete_records({TopicPartition(*self.dead_letters): RecordsToDelete(1)})
        await admin.close()

    async def inbound_records(self, partition: int, count: int) -> list[tuple[bytes | None, bytes | None, Headers]]:
        """Read the topic."""
        async with AIOKafkaConsumer(bootstrap_servers=self._servers, auto_offset_reset="earliest") as consumer:
            consumer.assign([TopicPartition(self.requested, partition)])
            records = [await consumer.getone() for _ in range(count)]
        return [(record.key, record.value, list(record.headers)) for record in records]


@pytest.fixture(params=["fake", "kafka"])
async def stage(request: pytest.FixtureRequest, kafka: Kafka, topics: Topics) -> AsyncIterator[Stage]:
    """Give each in turn."""
    if request.param == "fake":
        yield FakeStage()
        return

    access = KafkaAccess(kafka.bootstrap_servers)
    producer = ReliableProducer(access, max_request_bytes=MAX_DEAD_LETTER_BYTES)
    async with (
        KafkaDeadLetterReader(access) as reader,
        KafkaReplayStore(access, topics.group_id) as store,
    ):
        yield KafkaStage(kafka.bootstrap_servers, topics, reader, store, producer)

    await producer.close()


async def read(stage: Stage, first: int, end: int) -> list[tuple[int, bytes | None, Headers]]:
    """Return offset, value and headers of what is read."""
    records = stage.reader.read(stage.dead_letters, first, end)
    return [(record.offset, record.value, list(record.headers)) async for record in records]


async def test_a_topic_is_read_between_its_bounds(stage: Stage) -> None:
    """Reading begins at any offset, ends before any other, and can be repeated.

    Removed records are left out.
    """
    await stage.prepare()
    bounds: Mapping[Partition, tuple[int, int]] = await stage.reader.bounds(stage.dead_letters.topic)
    assert bounds == {stage.dead_letters: (1, 4)}
    assert await read(stage, 1, 4) == [
        (1, b"1", [("h", None)]),
        (2, b"2", [("h", None)]),
        (3, b"3", [("h", None)]),
    ]
    assert [offset for offset, *_ in await read(stage, 2, 3)] == [2]
    assert [offset for offset, *_ in await read(stage, 0, 2)] == [1]
    assert await read(stage, 4, 4) == []


async def test_a_missing_topic_is_unavailable(stage: Stage) -> None:
    """The error names the topic."""
    with pytest.raises(KafkaUnavailable, match="no-such-topic is missing"):
        await stage.reader.bounds("no-such-topic")


async def test_reading_ends_when_kafka_stays_silent(kafka: Kafka, topics: Topics) -> None:
    """Where records should be and none come, it raises within a bounded time."""
    async with KafkaDeadLetterReader(KafkaAccess(kafka.bootstrap_servers), silence_s=0.5) as reader:
        with pytest.raises(KafkaUnavailable, match="no records within 0.5 s"):
            async for _ in reader.read(Partition(topics.dead_letters[0], 0), 0, 10):
                pass


async def test_without_brokers_the_reader_cannot_connect() -> None:
    """It raises within a bounded time."""
    with pytest.raises(KafkaUnavailable):
        async with KafkaDeadLetterReader(KafkaAccess("127.0.0.1:1")):
            pass


async def test_the_mark_saved_last_is_loaded(stage: Stage) -> None:
    """Its metadata comes back as it was, also while a topic is being read."""
    await stage.prepare()
    assert await stage.store.load(stage.dead_letters) is None

    await stage.store.save(stage.dead_letters, ReplayMark(1, ""))
    read_offsets = []

    async for record in stage.reader.read(stage.dead_letters, 1, 4):
        await stage.store.save(stage.dead_letters, ReplayMark(record.offset, "z1:" + "x" * 4_000))
        read_offsets.append(record.offset)
        assert await stage.store.load(stage.dead_letters) == ReplayMark(record.offset, "z1:" + "x" * 4_000)

    assert read_offsets == [1, 2, 3]


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (
            b"\xff\x00",
            b"\xfe{",
            [
                ("a", b"1"),
                ("a", b"2"),
                ("empty", b""),
                ("null", None),
                ("dlt-topic", b"x"),
            ],
        ),
        (b"tombstone", None, []),
        (None, b"no key", []),
        (None, None, [("neither", b"key nor value")]),
    ],
)
async def test_a_record_is_put_back_byte_for_byte(
    stage: Stage, key: bytes | None, value: bytes | None, headers: Headers
) -> None:
    """Key, value and headers are the same, and so is the partition."""
    for partition in (0, 1):
        await stage.inbound.put_back(stage.requested, partition, Record("", 0, 0, key, value, headers))
        assert await stage.inbound_records(partition, 1) == [(key, value, headers)]


async def test_a_record_is_put_back_even_if_its_partition_is_gone(stage: Stage) -> None:
    """The key chooses the partition. Without a key, any partition will do."""
    for key in (b"k", None):
        for value in (b"v", None):
            for partition in (7, -1, None):
                await stage.inbound.put_back(stage.requested, partition, Record("", 0, 0, key, value))


async def test_a_record_that_is_too_large_is_refused_and_others_are_not(
    stage: Stage,
) -> None:
    """A refusal is another error than an outage."""
    with pytest.raises(RecordRefused):
        await stage.inbound.put_back(stage.requested, 0, Record("", 0, 0, b"k", b"x" * 3_000_000))
    await stage.inbound.put_back(stage.requested, 0, Record("", 0, 0, b"k", b"small"))
    assert await stage.inbound_records(0, 1) == [(b"k", b"small", [])]
