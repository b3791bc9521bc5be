"""Which offset of a partition may be committed."""

from typing import NamedTuple


class Ticket(NamedTuple):
    """One record under way. A ticket of another epoch moves nothing."""

    epoch: int
    offset: int


class Unfinished(NamedTuple):
    """A record that is not done: born at ``stamp`` (seconds, time of day), begun at ``begun_at`` (any stopwatch's)."""

    offset: int
    stamp: float
    begun_at: float


class OffsetTracker:
    """Follows one partition through one assignment.

    Offsets come in rising order, with gaps (compaction, transaction markers), and are finished in any order. Only
    unfinished ones take memory.
    """

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._next: int | None = None
        # Filled in rising order, so its first key is the lowest unfinished offset.
        self._unfinished: dict[int, Unfinished] = {}

    def track(self, offset: int, stamp: float, begun_at: float) -> Ticket | None:
        """Begin a record born at ``stamp``. None: this offset was begun or passed over before."""
        if self._next is not None and offset < self._next:
            return None
        self._next = offset + 1
        self._unfinished[offset] = Unfinished(offset, stamp, begun_at)
        return Ticket(self._epoch, offset)

    def finish(self, ticket: Ticket) -> None:
        """Mark a record as done."""
        if ticket.epoch == self._epoch:
            self._unfinished.pop(ticket.offset, None)

    def skip_to(self, offset: int) -> None:
        """Note that nothing below ``offset`` will come any more."""
        self._next = offset if self._next is None else max(self._next, offset)

    @property
    def watermark(self) -> int | None:
        """The offset to commit: all below it is done. None until anything is known."""
        return next(iter(self._unfinished), self._next)

    @property
    def span(self) -> int:
        """How far reading is ahead of the watermark: what a crash would read again."""
        watermark = self.watermark
        return 0 if watermark is None or self._next is None else self._next - watermark

    @property
    def position(self) -> int | None:
        """The offset to read next. None until anything is known."""
        return self._next

    @property
    def head(self) -> Unfinished | None:
        """The record that holds the watermark back: the lowest one that is not done."""
        return next(iter(self._unfinished.values()), None)

    @property
    def oldest_stamp(self) -> float | None:
        """The smallest stamp of the unfinished ones."""
        return min((each.stamp for each in self._unfinished.values()), default=None)
