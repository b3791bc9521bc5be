"""Reports how far each partition is."""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence

from consumers.polling.assignment import Assignment
from consumers.polling.head_of_line import BlockedPartition
from consumers.ports import Clock, KafkaUnavailable, Partition, PartitionPosition, RecordSource, Stopwatch, utc_now

logger = logging.getLogger(__name__)


class Positions:
    """Asks Kafka for the end offsets, and reports how far each partition is. ``answers`` counts Kafka's answers."""

    def __init__(
        self,
        source: RecordSource,
        assignment: Assignment,
        committed: Mapping[Partition, int],
        clock: Clock = utc_now,
        stopwatch: Stopwatch = time.monotonic,
    ) -> None:
        self.answers = 0
        self._source = source
        self._assignment = assignment
        self._committed = committed
        self._clock = clock
        self._stopwatch = stopwatch
        self._ends: Mapping[Partition, int] = {}
        self._asking: asyncio.Task[None] | None = None

    async def refresh(self, wait_s: float) -> None:
        """Ask for the end offsets and wait up to ``wait_s``. A slower answer is used when it arrives."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())

        asking = self._asking
        await asyncio.wait({asking}, timeout=wait_s)

        if asking.done():
            self._asking = None
            asking.result()

    def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()

    def all(self) -> Sequence[PartitionPosition]:
        """Return the position of each owned partition."""
        return [self._position(partition) for partition in self._assignment.partitions]

    def blocked(self) -> Iterator[BlockedPartition]:
        """Return the partitions whose watermark waits for a record."""
        for partition, tracker in self._assignment.trackers.items():
            head = tracker.head
            if head is not None:
                age_s = self._age_s(head.timestamp_s)
                records_behind = tracker.read_ahead - 1
                yield BlockedPartition(partition, head.offset, head.started_at, age_s, records_behind)

    async def _ask(self) -> None:
        partitions = list(self._assignment.partitions)
        try:
            self._ends = await self._source.end_offsets(partitions) if partitions else {}
        except KafkaUnavailable:
            logger.debug("the end offsets are unknown")
        else:
            self.answers += 1

    def _position(self, partition: Partition) -> PartitionPosition:
        tracker = self._assignment.trackers[partition]
        head = tracker.head

        return PartitionPosition(
            partition=partition,
            end=self._ends.get(partition),
            watermark=tracker.watermark,
            committed=self._committed.get(partition),
            oldest_unfinished_age_s=self._age_s(tracker.oldest_timestamp_s),
            position=tracker.position,
            head_of_line_s=0.0 if head is None else self._stopwatch() - head.started_at,
        )

    def _age_s(self, timestamp_s: float | None) -> float:
        if timestamp_s is None:
            return 0.0

        return max(0.0, self._clock().timestamp() - timestamp_s)
