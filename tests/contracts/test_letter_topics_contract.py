"""What replays go by: the fake, and a real Kafka."""

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
from tests.fakes.letter_topics import FakeInbound, FakeLetterTopics
from utils.kafka.dead_letters import KafkaDeadLetterReader, KafkaReplayStore
from utils.kafka.producer import MAX_DEAD_LETTER_BYTES, ReliableProducer
from utils.kafka.access import KafkaAccess
from utils.kafka.writers import KafkaInboundWriter

VALUES = (b"0", b"1", b"2", b"3")


class Stage(Protocol):
    """Letters, one who has no Kafka, the inbound topics, and ways to reach behind them."""

    dead_letters: Partition
    requested: str

    @property
    def letters(self) -> DeadLetterReader:
        """Where letters are read."""
        ...

    @property
    def memory(self) -> ReplayStore:
        """Where notes are kept."""
        ...

    @property
    def inbound(self) -> InboundWriter:
        """Where records are put back."""
        ...

    async def prepare(self) -> None:
        """Append the four values, and forget the first of them."""
        ...

    async def inbound_records(self, partition: int, count: int) -> list[tuple[bytes | None, bytes | None, Headers]]:
        """Return the first so many on a partition of ``requested``."""
        ...


class FakeStage:
    """The fakes."""

    def __init__(self) -> None:
        self.letters = self.memory = FakeLetterTopics("requested.dlt")
        self.inbound = FakeInbound()
        self.dead_letters = Partition("requested.dlt", 0)
        self.requested = "requested"

    async def prepare(self) -> None:
        """Fill the fake."""
        for value in VALUES:
            self.letters.append(Record("requested.dlt", 0, 0, b"k", value, [("h", None)]))
        self.letters.retain(self.dead_letters, 1)

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
        letters: KafkaDeadLetterReader,
        memory: KafkaReplayStore,
        producer: ReliableProducer,
    ) -> None:
        self._servers = servers
        self.letters = letters
        self.memory = memory
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
    async with KafkaDeadLetterReader(access) as letters, KafkaReplayStore(access, topics.group_id) as memory:
        yield KafkaStage(kafka.bootstrap_servers, topics, letters, memory, producer)

    await producer.close()


async def read(stage: Stage, first: int, end: int) -> list[tuple[int, bytes | None, Headers]]:
    """Return offset, value and headers of what is read."""
    records = stage.letters.read(stage.dead_letters, first, end)
    return [(record.offset, record.value, list(record.headers)) async for record in records]


async def test_a_topic_is_read_between_its_bounds(stage: Stage) -> None:
    """From the first that is left, or from any other, to before the end; again and again."""
    await stage.prepare()
    bounds: Mapping[Partition, tuple[int, int]] = await stage.letters.bounds(stage.dead_letters.topic)
    assert bounds == {stage.dead_letters: (1, 4)}
    assert await read(stage, 1, 4) == [(1, b"1", [("h", None)]), (2, b"2", [("h", None)]), (3, b"3", [("h", None)])]
    assert [offset for offset, *_ in await read(stage, 2, 3)] == [2]
    assert [offset for offset, *_ in await read(stage, 0, 2)] == [1]
    assert await read(stage, 4, 4) == []


async def test_a_topic_that_is_missing_is_unavailable(stage: Stage) -> None:
    """It is named."""
    with pytest.raises(KafkaUnavailable, match="no-such-topic is missing"):
        await stage.letters.bounds("no-such-topic")


async def test_silence_is_an_outage(kafka: Kafka, topics: Topics) -> None:
    """Where records should be and none come, reading ends in bounded time."""
    async with KafkaDeadLetterReader(KafkaAccess(kafka.bootstrap_servers), silence_s=0.5) as letters:
        with pytest.raises(KafkaUnavailable, match="no records within 0.5 s"):
            async for _ in letters.read(Partition(topics.dead_letters[0], 0), 0, 10):
                pass


async def test_without_brokers_there_are_no_letters() -> None:
    """Connecting fails in bounded time."""
    with pytest.raises(KafkaUnavailable):
        async with KafkaDeadLetterReader(KafkaAccess("127.0.0.1:1")):
            pass


async def test_what_is_noted_is_recalled(stage: Stage) -> None:
    """The last note, with its text as it was; also in the midst of reading."""
    await stage.prepare()
    assert await stage.memory.load(stage.dead_letters) is None

    await stage.memory.save(stage.dead_letters, ReplayMark(1, ""))
    seen = []

    async for record in stage.letters.read(stage.dead_letters, 1, 4):
        await stage.memory.save(stage.dead_letters, ReplayMark(record.offset, "z1:" + "x" * 4_000))
        seen.append(record.offset)
        assert await stage.memory.load(stage.dead_letters) == ReplayMark(record.offset, "z1:" + "x" * 4_000)

    assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (b"\xff\x00", b"\xfe{", [("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None), ("dlt-topic", b"x")]),
        (b"tombstone", None, []),
        (None, b"no key", []),
        (None, None, [("neither", b"key nor value")]),
    ],
)
async def test_a_record_is_put_back_byte_for_byte(
    stage: Stage, key: bytes | None, value: bytes | None, headers: Headers
) -> None:
    """Key, value and headers, on the partition it came from."""
    for partition in (0, 1):
        await stage.inbound.put_back(stage.requested, partition, Record("", 0, 0, key, value, headers))
        assert await stage.inbound_records(partition, 1) == [(key, value, headers)]


async def test_a_partition_that_the_topic_lacks_is_no_obstacle(stage: Stage) -> None:
    """The key decides, or anything."""
    for key in (b"k", None):
        for value in (b"v", None):
            for partition in (7, -1, None):
                await stage.inbound.put_back(stage.requested, partition, Record("", 0, 0, key, value))


async def test_a_record_that_is_too_large_is_refused_and_others_go_on(stage: Stage) -> None:
    """That is told apart from an outage."""
    with pytest.raises(RecordRefused):
        await stage.inbound.put_back(stage.requested, 0, Record("", 0, 0, b"k", b"x" * 3_000_000))
    await stage.inbound.put_back(stage.requested, 0, Record("", 0, 0, b"k", b"small"))
    assert await stage.inbound_records(0, 1) == [(b"k", b"small", [])]
