"""Tells of a record that holds its partition's watermark back for long."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from consumers.ports import Partition, Stopwatch

logger = logging.getLogger(__name__)

_SELDOM: Final = 10


class Held(NamedTuple):
    """A partition whose watermark stands at ``offset``, in work since ``begun_at``; ``behind`` were read after it."""

    partition: Partition
    offset: int
    begun_at: float
    age_s: float
    behind: int


ReasonOf = Callable[[Partition, int], str]
"""Why the record at an offset is not done yet, in a word."""


class HeadOfLine:
    """Logs a record once it was in work for ``after_s``, and after that ten times as seldom."""

    def __init__(self, after_s: float = 60.0, stopwatch: Stopwatch = time.monotonic) -> None:
        self._after_s = after_s
        self._stopwatch = stopwatch
        self._next_at: dict[tuple[Partition, int], float] = {}

    def look(self, all_held: Iterable[Held], reason_of: ReasonOf) -> None:
        """Look at all partitions that are held back now."""
        now, next_at = self._stopwatch(), {}
        for held in all_held:
            due_at = self._next_at.get((held.partition, held.offset), held.begun_at + self._after_s)
            if now >= due_at:
                due_at = now + _SELDOM * self._after_s
                self._tell(held, now, reason_of(held.partition, held.offset))
            next_at[held.partition, held.offset] = due_at
        self._next_at = next_at

    @staticmethod
    def _tell(held: Held, now: float, reason: str) -> None:
        place = {"topic": held.partition.topic, "partition": held.partition.number, "offset": held.offset}
        times = {"in_work_s": round(now - held.begun_at, 1), "age_s": round(held.age_s, 1)}
        logger.warning(
            "a record holds its partition back", extra={**place, **times, "behind": held.behind, "reason": reason}
        )
