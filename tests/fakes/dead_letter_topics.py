"""Dead-letter topics, replay marks, and inbound topics to put records back on, in memory."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

from consumers.ports import (
    KafkaUnavailable,
    Partition,
    Record,
    RecordRefused,
    ReplayMark,
)


class FakeDeadLetterTopics:
    """Fulfils ``DeadLetterReader`` and ``ReplayStore``.

    While ``down`` is set, everything raises.

    ``lost_saves``: so many calls of ``save`` raise, and save nothing.
    """

    def __init__(self, *topics: str, partitions: int = 1) -> None:
        self.logs: dict[Partition, list[Record]] = {
            Partition(topic, number): [] for topic in topics for number in range(partitions)
        }
        self.firsts: dict[Partition, int] = {}
        self.ends: dict[Partition, int] = {}
        self.marks: dict[Partition, ReplayMark] = {}
        self.saves = 0
        self.lost_saves = 0
        self.down = False

    async def __aenter__(self) -> "FakeDeadLetterTopics":
        """Connect. Raises ``KafkaUnavailable``."""
        self._check()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""

    def append(self, record: Record, gap: int = 0) -> Record:
        """Append a record ``gap`` offsets behind the end; return it with its offset."""
        offset = self.ends.get(record.topic_partition, 0) + gap
        placed = replace(record, offset=offset)
        self.logs[record.topic_partition].append(placed)
        self.ends[record.topic_partition] = offset + 1

        return placed

    def retain(self, partition: Partition, first: int) -> None:
        """Forget all records below ``first``, as retention does."""
        self.firsts[partition] = first
        self.logs[partition] = [record for record in self.logs[partition] if record.offset >= first]

    async def bounds(self, topic: str) -> Mapping[Partition, tuple[int, int]]:
        """Return first offsets and ends."""
        self._check()
        partitions = [partition for partition in self.logs if partition.topic == topic]
        if not partitions:
            raise KafkaUnavailable(f"the topic {topic} is missing")
        return {each: (self.firsts.get(each, 0), self.ends.get(each, 0)) for each in partitions}

    async def read(self, partition: Partition, first: int, end: int) -> AsyncIterator[Record]:
        """Yield records."""
        self._check()
        for record in list(self.logs[partition]):
            await asyncio.sleep(0)
            if first <= record.offset < end:
                yield record

    async def load(self, partition: Partition) -> ReplayMark | None:
        """Return the mark saved last."""
        self._check()
        return self.marks.get(partition)

    async def save(self, partition: Partition, mark: ReplayMark) -> None:
        """Save a mark."""
        self._check()
        if self.lost_saves:
            self.lost_saves -= 1
            raise KafkaUnavailable

        self.saves += 1
        self.marks[partition] = mark

    def _check(self) -> None:
        if self.down:
            raise KafkaUnavailable


@dataclass(frozen=True)
class PutBackRecord:
    """A record that was put back: where, and what it was."""

    topic: str
    partition: int | None
    record: Record


class FakeInboundWriter:
    """Fulfils ``InboundWriter``.

    Records above ``max_bytes`` are refused; ``failures`` calls raise.
    """

    def __init__(self, max_bytes: int = 1_000_000) -> None:
        self.written: list[PutBackRecord] = []
        self.max_bytes = max_bytes
        self.failures = 0

    @property
    def values(self) -> list[bytes | None]:
        """The values written, in order."""
        return [each.record.value for each in self.written]

    async def put_back(self, topic: str, partition: int | None, record: Record) -> None:
        """Acknowledge the record. Raises ``RecordRefused`` and ``KafkaUnavailable``."""
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise KafkaUnavailable
        if record.size > self.max_bytes:
            raise RecordRefused

        self.written.append(PutBackRecord(topic, partition, record))
