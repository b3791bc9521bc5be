"""How far each partition is, for the metrics."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from consumers.assignment import Assignment
from consumers.ports import Clock, ConsumerMetrics, ConsumerSnapshot, KafkaUnavailable, Partition, PartitionPosition
from consumers.ports import RecordSource, utc_now

logger = logging.getLogger(__name__)


class PositionWatch:
    """Asks Kafka for the ends of the partitions, and shows the metrics how the consumer stands."""

    def __init__(
        self,
        source: RecordSource,
        assignment: Assignment,
        committed: Mapping[Partition, int],
        metrics: ConsumerMetrics,
        clock: Clock = utc_now,
    ) -> None:
        self._source = source
        self._assignment = assignment
        self._committed = committed
        self._metrics = metrics
        self._clock = clock
        self._ends: Mapping[Partition, int] = {}

    async def run(self, every_s: float, in_flight: Callable[[], int], halted: Callable[[], bool]) -> None:
        """Show the metrics a snapshot every ``every_s`` seconds until cancelled."""
        while True:
            await self._refresh(every_s)
            self._metrics.observe(ConsumerSnapshot(self.positions(), in_flight(), halted()))
            await asyncio.sleep(every_s)

    def positions(self) -> Sequence[PartitionPosition]:
        """Return how each owned partition stands."""
        return [self._position(partition) for partition in self._assignment.partitions]

    async def _refresh(self, timeout_s: float) -> None:
        partitions = list(self._assignment.partitions)
        try:
            async with asyncio.timeout(timeout_s):
                self._ends = await self._source.end_offsets(partitions) if partitions else {}
        except (KafkaUnavailable, TimeoutError):
            logger.debug("the ends of the partitions are not known")

    def _position(self, partition: Partition) -> PartitionPosition:
        tracker = self._assignment.trackers[partition]
        oldest = tracker.oldest_stamp
        age_s = 0.0 if oldest is None else max(0.0, self._clock().timestamp() - oldest)
        end, committed = self._ends.get(partition), self._committed.get(partition)
        return PartitionPosition(partition, end, tracker.watermark, committed, age_s)
