"""The dead-letter topics, read without a group, and which of their records were put back.

How far a replay got is the committed offset of a group that exists for this purpose alone.
"""

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from consumers.ports import KafkaUnavailable, Partition, Record, ReplayMark
from utils.kafka.access import KafkaAccess
from utils.kafka.clients import kafka_call, start_consumer, stop_consumer
from utils.kafka.polling import as_record

_SETTINGS: Final[Mapping[str, Any]] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",  # retention may delete what is about to be read
    "isolation_level": "read_committed",
}
_CALL_TIMEOUT_S: Final = 30.0
_POLL_MS: Final = 200
_POLL_RECORDS: Final = 500


class _Connected:
    """A consumer of aiokafka that is connected between ``__aenter__`` and ``__aexit__``."""

    def __init__(self, access: KafkaAccess, group_id: str | None) -> None:
        self._access = access
        self._group_id = group_id
        self._consumer: Any = None

    async def __aenter__(self) -> Self:
        """Connect. Raises ``KafkaUnavailable``."""
        consumer = AIOKafkaConsumer(**self._access.options(), **_SETTINGS, group_id=self._group_id)
        await start_consumer(consumer, _CALL_TIMEOUT_S)
        self._consumer = consumer
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await stop_consumer(self._consumer)


class KafkaDeadLetterReader(_Connected):
    """Implements ``DeadLetterReader``. Assigns one partition at a time, by hand.

    It has no group: while aiokafka looks for a group's coordinator, a new assignment ends
    the task that looks, and with it the consumer.
    """

    def __init__(self, access: KafkaAccess, silence_s: float = 30.0) -> None:
        super().__init__(access, None)
        self._silence_s = silence_s

    async def bounds(self, topic: str) -> Mapping[Partition, tuple[int, int]]:
        """Return each partition's first offset and its current end. Raises ``KafkaUnavailable``."""
        async with kafka_call(_CALL_TIMEOUT_S):
            partitions = await self._partitions(topic)
            beginnings = await self._consumer.beginning_offsets(partitions)
            ends = await self._consumer.end_offsets(partitions)

        return {Partition(*each): (beginnings[each], ends[each]) for each in partitions}

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        # All topics are fetched: a request for a missing topic by name creates it, where
        # brokers do that.
        cluster = await self._consumer._client.fetch_all_metadata()
        numbers = cluster.partitions_for_topic(topic)
        if not numbers:
            raise KafkaUnavailable(f"the topic {topic} is missing")
        return [TopicPartition(topic, number) for number in numbers]

    async def read(self, partition: Partition, first: int, end: int) -> AsyncIterator[Record]:
        """Yield the records from ``first`` to before ``end``, in order.

        Raises ``KafkaUnavailable``.
        """
        if first >= end:
            return

        target = TopicPartition(*partition)
        self._consumer.assign([target])
        self._consumer.seek(target, first)
        last_heard = time.monotonic()

        while await self._position(target) < end:
            records = await self._poll(target)
            for record in records:
                if record.offset < end:
                    yield as_record(record)

            if records:
                last_heard = time.monotonic()  # only now: the reader may take its time over a record
            elif time.monotonic() - last_heard > self._silence_s:
                raise KafkaUnavailable(f"no records within {self._silence_s:g} s")

    async def _poll(self, target: TopicPartition) -> list[Any]:
        async with kafka_call(None):
            batches = await self._consumer.getmany(target, timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)

        return list(batches.get(target, ()))

    async def _position(self, target: TopicPartition) -> int:
        async with kafka_call(_CALL_TIMEOUT_S):
            position: int = await self._consumer.position(target)
        return position


class KafkaReplayStore(_Connected):
    """Implements ``ReplayStore`` with a consumer that has no partitions.

    Only its connection to the group's coordinator is used, which aiokafka does not offer
    publicly without partitions. Offsets committed this way have no owner, so Kafka accepts
    them from anybody: read before you commit.
    """

    async def load(self, partition: Partition) -> ReplayMark | None:
        """Return the latest mark. Raises ``KafkaUnavailable``."""
        target = TopicPartition(*partition)
        async with kafka_call(_CALL_TIMEOUT_S):
            committed = await self._consumer._coordinator.fetch_committed_offsets([target])

        if target not in committed:
            return None
        return ReplayMark(committed[target].offset, committed[target].metadata)

    async def save(self, partition: Partition, mark: ReplayMark) -> None:
        """Return once Kafka has committed the mark. Raises ``KafkaUnavailable``."""
        offsets = {TopicPartition(*partition): OffsetAndMetadata(mark.offset, mark.metadata)}
        async with kafka_call(_CALL_TIMEOUT_S):
            await self._consumer._coordinator.commit_offsets(None, offsets)
