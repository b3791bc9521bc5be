"""The partitions owned now, and how far each one is."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import count

from consumers.polling.offset_tracker import OffsetTracker, Ticket
from consumers.ports import Clock, Partition, Record, Stopwatch, utc_now


class Assignment:
    """The trackers of the current epoch. Each rebalance begins a new epoch with new trackers.

    A partition whose log goes backwards gets a new tracker within the epoch. Tickets name their tracker's own epoch.

    ``intake_open`` is set from an assignment until its partitions are about to go. ``outdated``: the partitions that
    have another log by now than the one that was read. ``logs_begun`` counts them over all epochs, and ``topic_ids``
    tells which topic each log is of, as far as Kafka has said.
    """

    def __init__(self, stopwatch: Stopwatch = time.monotonic, clock: Clock = utc_now) -> None:
        self.epoch = 0
        self.intake_open = asyncio.Event()
        self.outdated: set[Partition] = set()
        self.logs_begun: Counter[Partition] = Counter()
        self.topic_ids: dict[Partition, bytes] = {}
        self._tracker_epochs = count(1)
        self._stopwatch = stopwatch
        self._clock = clock
        self._trackers: dict[Partition, OffsetTracker] = {}

    @property
    def partitions(self) -> Collection[Partition]:
        """The partitions owned."""
        return self._trackers.keys()

    @property
    def trackers(self) -> Mapping[Partition, OffsetTracker]:
        """The tracker of each partition."""
        return self._trackers

    def begin(self, partitions: Collection[Partition]) -> None:
        """Own these partitions and no others, in a new epoch, and open intake."""
        self._renew(partitions)
        self.intake_open.set()

    def begin_log(self, partition: Partition, offset: int) -> None:
        """Track another log of an owned partition, from ``offset`` on. Tickets of the log before have no effect."""
        tracker = OffsetTracker(next(self._tracker_epochs))
        tracker.skip_to(offset)
        self._trackers[partition] = tracker
        self.logs_begun[partition] += 1
        self.topic_ids.pop(partition, None)
        self.outdated.discard(partition)

    def note_topics(self, topic_ids: Mapping[str, bytes]) -> None:
        """Note which topics the logs are of, before anything is read of them. What is known already stays."""
        for partition in self.partitions:
            if partition.topic in topic_ids:
                self.topic_ids.setdefault(partition, topic_ids[partition.topic])

    def close_intake(self) -> None:
        """Take no further records. Those in flight can still finish."""
        self.intake_open.clear()

    def end(self) -> None:
        """Own nothing."""
        self._renew(())

    def is_current(self, epoch: int) -> bool:
        """Whether this epoch still takes records."""
        return self.intake_open.is_set() and epoch == self.epoch

    def track(self, record: Record) -> Ticket | None:
        """Start a record. None: its partition is not owned, or it was started before."""
        tracker = self._trackers.get(record.topic_partition)
        if tracker is None:
            return None

        has_timestamp = record.timestamp_ms >= 0
        timestamp_s = record.timestamp_ms / 1000 if has_timestamp else self._clock().timestamp()

        ticket = tracker.track(record.offset, timestamp_s, self._stopwatch())
        if ticket is not None:
            tracker.skip_to(record.last_offset + 1)

        return ticket

    def finish(self, partition: Partition, ticket: Ticket) -> None:
        """Mark a record as done. A ticket of an earlier tracker has no effect."""
        tracker = self._trackers.get(partition)
        if tracker is not None:
            tracker.finish(ticket)

    def watermarks(self) -> dict[Partition, int]:
        """Return the offsets that may be committed now.

        Of a log that is gone it is 0: its offset would hide records of the new log, and may already be committed.
        """
        marks = {partition: tracker.watermark for partition, tracker in self._trackers.items()}
        marks |= dict.fromkeys(self.outdated, 0)
        return {partition: mark for partition, mark in marks.items() if mark is not None}

    def far_ahead(self, max_read_ahead: int) -> set[Partition]:
        """Return the partitions that are read ``max_read_ahead`` offsets or more beyond their watermark."""
        trackers = self._trackers.items()
        return {partition for partition, tracker in trackers if tracker.read_ahead >= max_read_ahead}

    def _renew(self, partitions: Collection[Partition]) -> None:
        self.epoch += 1
        self.outdated.clear()
        self._trackers = {partition: OffsetTracker(next(self._tracker_epochs)) for partition in partitions}
