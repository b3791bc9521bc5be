"""Kafka's dead-letter topics, read without a group; what was put back is the committed offset of a group of its own."""

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from consumers.ports import KafkaUnavailable, Partition, Record, ReplayMark
from utils.kafka.producers import KafkaAccess
from utils.kafka.source import as_record, stop_consumer, translated

_SETTINGS: Final[Mapping[str, Any]] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",  # retention may remove what is about to be read
    "isolation_level": "read_committed",
}
_CALL_TIMEOUT_S: Final = 30.0
_POLL_MS: Final = 200
_POLL_RECORDS: Final = 500


class _Connected:
    """A consumer of aiokafka between entering and leaving."""

    def __init__(self, access: KafkaAccess, group_id: str | None) -> None:
        self._access = access
        self._group_id = group_id
        self._consumer: Any = None

    async def __aenter__(self) -> Self:
        """Connect. Raises ``KafkaUnavailable``."""
        consumer = AIOKafkaConsumer(**self._access.options(), **_SETTINGS, group_id=self._group_id)
        try:
            async with translated(_CALL_TIMEOUT_S):
                await consumer.start()
        except BaseException:
            await stop_consumer(consumer)
            raise
        self._consumer = consumer
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await stop_consumer(self._consumer)


class KafkaDeadLetterReader(_Connected):
    """Fulfils ``DeadLetterReader``. One partition at a time is assigned, by hand.

    It has no group: while aiokafka looks for a group's coordinator, another assignment ends the task that looks, and
    with it the consumer.
    """

    def __init__(self, access: KafkaAccess, silence_s: float = 30.0) -> None:
        super().__init__(access, None)
        self._silence_s = silence_s

    async def bounds(self, topic: str) -> Mapping[Partition, tuple[int, int]]:
        """Return each partition's first offset and its end, as of now. Raises ``KafkaUnavailable``."""
        async with translated(_CALL_TIMEOUT_S):
            # Asked for all topics: to name one that is missing would create it where brokers do that by themselves.
            cluster = await self._consumer._client.fetch_all_metadata()
            numbers = cluster.partitions_for_topic(topic)
            if not numbers:
                raise KafkaUnavailable(f"the topic {topic} is missing")
            partitions = [TopicPartition(topic, number) for number in numbers]
            first = await self._consumer.beginning_offsets(partitions)
            end = await self._consumer.end_offsets(partitions)
        return {Partition(*each): (first[each], end[each]) for each in partitions}

    async def read(self, partition: Partition, first: int, end: int) -> AsyncIterator[Record]:
        """Yield the records from ``first`` to before ``end``, in order. Raises ``KafkaUnavailable``."""
        if first >= end:
            return
        place = TopicPartition(*partition)
        self._consumer.assign([place])
        self._consumer.seek(place, first)
        heard = time.monotonic()
        while await self._position(place) < end:
            async with translated(None):
                batches = await self._consumer.getmany(place, timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
            for record in batches.get(place, ()):
                if record.offset < end:
                    yield as_record(record)
            if batches:
                heard = time.monotonic()  # not before: whoever reads may take its time
            elif time.monotonic() - heard > self._silence_s:
                raise KafkaUnavailable(f"no records within {self._silence_s:g} s")

    async def _position(self, place: TopicPartition) -> int:
        async with translated(_CALL_TIMEOUT_S):
            position: int = await self._consumer.position(place)
        return position


class KafkaReplayStore(_Connected):
    """Fulfils ``ReplayStore`` by a consumer that has no partitions: only its way to the group's coordinator is used.

    aiokafka has no public way there without partitions. Offsets that are committed so have no owner, so Kafka takes
    them from anybody: who commits looks before.
    """

    def __init__(self, access: KafkaAccess, group_id: str) -> None:
        super().__init__(access, group_id)

    async def load(self, partition: Partition) -> ReplayMark | None:
        """Return what was noted last. Raises ``KafkaUnavailable``."""
        place = TopicPartition(*partition)
        async with translated(_CALL_TIMEOUT_S):
            found = await self._consumer._coordinator.fetch_committed_offsets([place])
        return ReplayMark(found[place].offset, found[place].metadata) if place in found else None

    async def save(self, partition: Partition, mark: ReplayMark) -> None:
        """Return once Kafka has committed it. Raises ``KafkaUnavailable``."""
        offsets = {TopicPartition(*partition): OffsetAndMetadata(mark.offset, mark.metadata)}
        async with translated(_CALL_TIMEOUT_S):
            await self._consumer._coordinator.commit_offsets(None, offsets)
