"""Notices that a partition no longer has the log that was read (docs/adr/0022).

Offsets fall after an unclean election, or when a topic is deleted and created again. A poll notices only some of it:
a paused partition is not polled, and a new log that is already longer than the old one is read on as if nothing had
happened.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from consumers.polling.assignment import Assignment
from consumers.polling.offset_tracker import OffsetTracker
from consumers.ports import Partition, PartitionLog

_ANSWERS_NEEDED: Final = 2


class ReadSoFar(NamedTuple):
    """How far a tracker was at one moment."""

    tracker: OffsetTracker
    position: int | None


@dataclass
class _Known:
    """What is known of the log that is read. ``log_number`` tells it from the logs before and after it.

    ``doubts``: answers in a row that do not fit.
    """

    log_number: int
    topic_id: bytes | None
    doubts: int = 0


class NewLogs:
    """Compares what Kafka says of the logs with what was read before it was asked.

    A partition is ``outdated`` after two answers in a row: a broker that was frozen may give one old answer. Topic ids
    are remembered over rebalances: an old commit may land on the new log.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._known: dict[Partition, _Known] = {}

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
        known = self._known_log(partition)
        known.topic_id = known.topic_id or log.topic_id

        is_same_topic = log.topic_id is None or log.topic_id == known.topic_id
        holds_what_was_read = position is None or position <= log.end
        known.doubts = 0 if is_same_topic and holds_what_was_read else known.doubts + 1

        if known.doubts >= _ANSWERS_NEEDED:
            self._assignment.outdated.add(partition)

    def _known_log(self, partition: Partition) -> _Known:
        log_number = self._assignment.logs_begun[partition]
        known = self._known.get(partition)
        if known is None or known.log_number != log_number:
            known = self._known[partition] = _Known(log_number, None)

        return known
