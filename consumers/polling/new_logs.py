"""Notices that a partition no longer has the log that was read (docs/adr/0022).

Offsets fall after an unclean election, or when a topic is deleted and created again. A poll notices only some of it:
a paused partition is not polled, and a new log that is already longer than the old one is read on as if nothing had
happened.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from consumers.polling.assignment import Assignment
from consumers.polling.offset_tracker import OffsetTracker
from consumers.ports import Partition, PartitionLog

_ANSWERS_NEEDED: Final = 2


class ReadSoFar(NamedTuple):
    """How far a tracker was at one moment."""

    tracker: OffsetTracker
    position: int | None


class NewLogs:
    """Compares what Kafka says of the logs with what was read before it was asked.

    A partition is ``outdated`` after two answers in a row: a broker that was frozen may give one old answer. Topic ids
    are remembered over rebalances: an old commit may land on the new log. They are asked for before anything is read:
    the topic may be made again before the first answer.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._doubts = Counter[tuple[Partition, int]]()

    def read_so_far(self) -> Mapping[Partition, ReadSoFar]:
        """Return how far each partition is, to be compared with an answer to a question that is asked now."""
        trackers = self._assignment.trackers.items()
        return {partition: ReadSoFar(tracker, tracker.position) for partition, tracker in trackers}

    def compare(self, read: Mapping[Partition, ReadSoFar], logs: Mapping[Partition, PartitionLog]) -> None:
        """Compare an answer. Partitions whose tracker is new since the question are left out."""
        for partition, log in logs.items():
            if self._assignment.trackers.get(partition) is read[partition].tracker:
                self._compare(partition, read[partition].position, log)

    def _compare(self, partition: Partition, position: int | None, log: PartitionLog) -> None:
        """Count the answers in a row that do not fit the log that is read."""
        this_log = (partition, self._assignment.logs_begun[partition])
        is_same_topic = log.topic_id in (None, self._assignment.topic_ids.get(partition, log.topic_id))
        holds_what_was_read = position is None or position <= log.end

        if is_same_topic and holds_what_was_read:
            self._doubts.pop(this_log, None)
        else:
            self._doubts[this_log] += 1

        if log.topic_id is not None:
            self._assignment.topic_ids.setdefault(partition, log.topic_id)
        if self._doubts[this_log] >= _ANSWERS_NEEDED:
            self._assignment.outdated.add(partition)
