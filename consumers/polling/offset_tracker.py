"""Tracks which offset of a partition may be committed."""

from typing import NamedTuple


class Ticket(NamedTuple):
    """A record in flight. A ticket of an earlier epoch has no effect."""

    epoch: int
    offset: int


class Unfinished(NamedTuple):
    """A record that is not done. ``timestamp_s`` is a time of day, ``started_at`` a stopwatch's time."""

    offset: int
    timestamp_s: float
    started_at: float


class OffsetTracker:
    """Tracks the offsets of one partition through one assignment, or until its log goes backwards.

    Offsets arrive in ascending order, with gaps (compaction, transaction markers), and finish in any order. Only
    unfinished offsets take memory.
    """

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._next: int | None = None
        # Filled in ascending order, so its first key is the lowest unfinished offset.
        self._unfinished: dict[int, Unfinished] = {}

    def track(self, offset: int, timestamp_s: float, started_at: float) -> Ticket | None:
        """Start a record. None: this offset was started or skipped before."""
        if self.has_passed(offset):
            return None

        self._next = offset + 1
        self._unfinished[offset] = Unfinished(offset, timestamp_s, started_at)

        return Ticket(self._epoch, offset)

    def finish(self, ticket: Ticket) -> None:
        """Mark a record as done."""
        if ticket.epoch == self._epoch:
            self._unfinished.pop(ticket.offset, None)

    def skip_to(self, offset: int) -> None:
        """Note that no further record comes below ``offset``."""
        self._next = offset if self._next is None else max(self._next, offset)

    def has_passed(self, offset: int) -> bool:
        """Whether an offset lies below those that are still expected."""
        return self._next is not None and offset < self._next

    @property
    def watermark(self) -> int | None:
        """The offset to commit: every record below it is done. None: nothing is known yet."""
        return next(iter(self._unfinished), self._next)

    @property
    def read_ahead(self) -> int:
        """How many offsets lie between the watermark and the next offset: after a crash they are read again."""
        watermark = self.watermark
        return 0 if watermark is None or self._next is None else self._next - watermark

    @property
    def position(self) -> int | None:
        """The offset to read next. None: nothing is known yet."""
        return self._next

    @property
    def head(self) -> Unfinished | None:
        """The record that holds the watermark back: the unfinished one with the lowest offset."""
        return next(iter(self._unfinished.values()), None)
