"""Reports how far each partition is."""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from consumers.polling.assignment import Assignment
from consumers.polling.head_of_line import BlockedPartition
from consumers.polling.new_logs import NewLogs
from consumers.polling.unread import FirstUnread
from consumers.metrics import PartitionPosition
from consumers.ports import Clock, KafkaUnavailable, Partition, PartitionLog, RecordSource, Stopwatch, utc_now

logger = logging.getLogger(__name__)

_VALID_S: Final = 15.0


class _Answer(NamedTuple):
    """What Kafka said of a log, when, and since when its stable end has stood where it is."""

    log: PartitionLog
    at: float
    stable_since: float


class Positions:
    """Asks Kafka for the ends of the logs, and reports how far each partition is.

    ``answers`` counts Kafka's answers. An answer is valid for 15 s: a lag that nobody can know is not shown.
    """

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
        self._answers: dict[Partition, _Answer] = {}
        self._new_logs = NewLogs(assignment)
        self._first_unread = FirstUnread(source, stopwatch)
        self._asking: asyncio.Task[None] | None = None

    async def refresh(self, wait_s: float) -> None:
        """Ask Kafka and wait up to ``wait_s``. A slower answer is used when it arrives."""
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
        read = self._new_logs.read_so_far()
        try:
            logs = await self._source.logs(list(read)) if read else {}
        except KafkaUnavailable:
            logger.debug("the ends of the logs are unknown")
            return

        self.answers += 1
        self._new_logs.compare(read, logs)
        self._keep(logs)
        await self._first_unread.refresh(self._unread_watermarks())

    def _keep(self, logs: Mapping[Partition, PartitionLog]) -> None:
        """Keep an answer. A partition without one keeps the answer before, until that is no longer valid."""
        now = self._stopwatch()
        for partition, log in logs.items():
            before = self._answers.get(partition)
            stands_still = before is not None and log.stable_end == before.log.stable_end < before.log.end
            since = before.stable_since if before is not None and stands_still else now
            self._answers[partition] = _Answer(log, now, since)

    def _unread_watermarks(self) -> Mapping[Partition, int]:
        """Return the watermarks of the partitions that have lag and nothing in work."""
        positions = (self._position(partition) for partition in self._assignment.partitions)
        return {
            position.partition: position.watermark
            for position in positions
            if position.lag and position.watermark is not None and not self._has_head(position.partition)
        }

    def _has_head(self, partition: Partition) -> bool:
        return self._assignment.trackers[partition].head is not None

    def _position(self, partition: Partition) -> PartitionPosition:
        tracker = self._assignment.trackers[partition]
        answer = self._valid_answer(partition)
        head = tracker.head

        return PartitionPosition(
            partition=partition,
            end=answer and answer.log.end,
            watermark=tracker.watermark,
            committed=self._committed.get(partition),
            oldest_unfinished_age_s=self._oldest_age_s(partition, answer),
            position=tracker.position,
            head_of_line_s=0.0 if head is None else self._stopwatch() - head.started_at,
            stable_end=answer and answer.log.stable_end,
            open_transaction_s=self._open_transaction_s(answer),
        )

    def _valid_answer(self, partition: Partition) -> _Answer | None:
        answer = self._answers.get(partition)
        is_valid = answer is not None and self._stopwatch() - answer.at < _VALID_S
        return answer if is_valid else None

    def _oldest_age_s(self, partition: Partition, answer: _Answer | None) -> float | None:
        tracker = self._assignment.trackers[partition]
        if tracker.head is not None:
            return self._age_s(tracker.head.timestamp_s)
        if answer is None or tracker.watermark is None:
            return None
        if answer.log.end <= tracker.watermark:
            return 0.0

        timestamp_s = self._first_unread.timestamp_s(partition)
        return None if timestamp_s is None else self._age_s(timestamp_s)

    def _open_transaction_s(self, answer: _Answer | None) -> float:
        if answer is None or answer.log.stable_end >= answer.log.end:
            return 0.0

        return self._stopwatch() - answer.stable_since

    def _age_s(self, timestamp_s: float) -> float:
        return max(0.0, self._clock().timestamp() - timestamp_s)
