"""Logs a record that holds its partition's watermark back for long."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from consumers.ports import Partition, Stopwatch

logger = logging.getLogger(__name__)

_REPEAT_FACTOR: Final = 10


class BlockedPartition(NamedTuple):
    """A partition whose watermark waits for the record at ``offset``, which is in work since ``started_at``.

    ``behind``: how many offsets after it were read.
    """

    partition: Partition
    offset: int
    started_at: float
    age_s: float
    behind: int


ReasonOf = Callable[[Partition, int], str]
"""Why the record at an offset is not done yet, in one word."""


class HeadOfLine:
    """Logs a record after ``after_s`` in work, and then every ten times ``after_s``."""

    def __init__(self, after_s: float = 60.0, stopwatch: Stopwatch = time.monotonic) -> None:
        self._after_s = after_s
        self._stopwatch = stopwatch
        self._next_at: dict[tuple[Partition, int], float] = {}

    def check(self, all_blocked: Iterable[BlockedPartition], reason_of: ReasonOf) -> None:
        """Check all partitions that are blocked now."""
        now = self._stopwatch()
        next_at = {}

        for blocked in all_blocked:
            record = (blocked.partition, blocked.offset)
            due_at = self._next_at.get(record, blocked.started_at + self._after_s)
            if now >= due_at:
                due_at = now + _REPEAT_FACTOR * self._after_s
                self._log(blocked, now, reason_of(*record))
            next_at[record] = due_at

        self._next_at = next_at

    @staticmethod
    def _log(blocked: BlockedPartition, now: float, reason: str) -> None:
        fields = {
            "topic": blocked.partition.topic,
            "partition": blocked.partition.number,
            "offset": blocked.offset,
            "in_work_s": round(now - blocked.started_at, 1),
            "age_s": round(blocked.age_s, 1),
            "behind": blocked.behind,
            "reason": reason,
        }
        logger.warning("a record holds its partition back", extra=fields)
