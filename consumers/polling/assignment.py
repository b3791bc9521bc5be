"""The partitions that are owned just now, and how far each one is."""

import time
from collections.abc import Collection, Mapping

from consumers.polling.offset_tracker import OffsetTracker, Ticket
from consumers.ports import Partition, Record, Stopwatch


class Assignment:
    """Trackers of the current epoch. Each rebalance takes everything away and begins a new epoch."""

    def __init__(self, stopwatch: Stopwatch = time.monotonic) -> None:
        self.epoch = 0
        self._stopwatch = stopwatch
        self._trackers: dict[Partition, OffsetTracker] = {}

    @property
    def partitions(self) -> Collection[Partition]:
        """What is owned."""
        return self._trackers.keys()

    @property
    def trackers(self) -> Mapping[Partition, OffsetTracker]:
        """How far each one is."""
        return self._trackers

    def begin(self, partitions: Collection[Partition]) -> None:
        """Own these, and nothing else, with nothing known of them."""
        self.epoch += 1
        self._trackers = {partition: OffsetTracker(self.epoch) for partition in partitions}

    def end(self) -> None:
        """Own nothing."""
        self.begin(())

    def track(self, record: Record, now_s: float) -> Ticket | None:
        """Begin a record. None: its partition is not owned, or it was begun before in this epoch."""
        tracker = self._trackers.get(record.topic_partition)
        stamp = record.timestamp_ms / 1000 if record.timestamp_ms >= 0 else now_s
        return None if tracker is None else tracker.track(record.offset, stamp, self._stopwatch())

    def finish(self, partition: Partition, ticket: Ticket) -> None:
        """Mark a record as done; one of an earlier epoch changes nothing."""
        tracker = self._trackers.get(partition)
        if tracker is not None:
            tracker.finish(ticket)

    def watermarks(self) -> dict[Partition, int]:
        """Return what may be committed now."""
        marks = ((partition, tracker.watermark) for partition, tracker in self._trackers.items())
        return {partition: mark for partition, mark in marks if mark is not None}

    def far_ahead(self, span: int) -> set[Partition]:
        """Return the partitions in which reading is ``span`` or more ahead of the watermark."""
        return {partition for partition, tracker in self._trackers.items() if tracker.span >= span}
