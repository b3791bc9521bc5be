"""How far each partition is."""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence

from consumers.polling.assignment import Assignment
from consumers.polling.head_of_line import Held
from consumers.ports import Clock, KafkaUnavailable, Partition, PartitionPosition, RecordSource, Stopwatch, utc_now

logger = logging.getLogger(__name__)


class Positions:
    """Asks Kafka for the ends of the partitions, and tells how each stands. ``told`` counts Kafka's answers."""

    def __init__(
        self,
        source: RecordSource,
        assignment: Assignment,
        committed: Mapping[Partition, int],
        clock: Clock = utc_now,
        stopwatch: Stopwatch = time.monotonic,
    ) -> None:
        self.told = 0
        self._source = source
        self._assignment = assignment
        self._committed = committed
        self._clock = clock
        self._stopwatch = stopwatch
        self._ends: Mapping[Partition, int] = {}
        self._asking: asyncio.Task[None] | None = None

    async def refresh(self, wait_s: float) -> None:
        """Ask for the ends, and wait for the answer, or ``wait_s``: a slow one is taken when it comes."""
        asking = self._asking = self._asking or asyncio.create_task(self._ask())
        await asyncio.wait({asking}, timeout=wait_s)
        if asking.done():
            self._asking = None
            asking.result()

    def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    def all(self) -> Sequence[PartitionPosition]:
        """Return how each owned partition stands."""
        return [self._position(partition) for partition in self._assignment.partitions]

    def held(self) -> Iterator[Held]:
        """Return the partitions whose watermark waits for a record."""
        for partition, tracker in self._assignment.trackers.items():
            if tracker.head is not None:
                offset, stamp, begun_at = tracker.head
                yield Held(partition, offset, begun_at, self._age_s(stamp), tracker.span - 1)

    async def _ask(self) -> None:
        partitions = list(self._assignment.partitions)
        try:
            self._ends = await self._source.end_offsets(partitions) if partitions else {}
        except KafkaUnavailable:
            logger.debug("the ends of the partitions are not known")
        else:
            self.told += 1

    def _position(self, partition: Partition) -> PartitionPosition:
        tracker = self._assignment.trackers[partition]
        return PartitionPosition(
            partition=partition,
            end=self._ends.get(partition),
            watermark=tracker.watermark,
            committed=self._committed.get(partition),
            oldest_unfinished_age_s=self._age_s(tracker.oldest_stamp),
            position=tracker.position,
            head_of_line_s=0.0 if tracker.head is None else self._stopwatch() - tracker.head.begun_at,
        )

    def _age_s(self, stamp: float | None) -> float:
        return 0.0 if stamp is None else max(0.0, self._clock().timestamp() - stamp)
