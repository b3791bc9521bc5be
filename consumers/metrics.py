"""What the consumer reports of itself: how far each partition is, and what it counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from consumers.ports import Partition


@dataclass(frozen=True)
class PartitionPosition:
    """How far one partition is. None: not known.

    ``watermark`` is the offset to commit, ``position`` the offset to read next, ``stable_end`` where reading stops.
    ``oldest_unfinished_age_s``: of the record at the watermark, read or not. ``head_of_line_s``: how long this process
    has worked on it. ``open_transaction_s``: for how long a transaction has held ``stable_end`` back.
    """

    partition: Partition
    end: int | None
    watermark: int | None
    committed: int | None
    oldest_unfinished_age_s: float | None
    position: int | None = None
    head_of_line_s: float = 0.0
    stable_end: int | None = None
    open_transaction_s: float = 0.0

    @property
    def lag(self) -> int | None:
        """Records from the watermark to the end, unread ones and those of open transactions included."""
        if self.end is None or self.watermark is None:
            return None
        return max(0, self.end - self.watermark)


@dataclass(frozen=True)
class ConsumerSnapshot:
    """The state of the consumer. It lists all partitions it owns."""

    partitions: Sequence[PartitionPosition]
    in_flight: int
    breaker_open: bool


class ConsumerMetrics(Protocol):
    """The consumer's metrics."""

    def record_done(self, topic: str, outcome: str) -> None:
        """Count a finished record: ``applied``, ``duplicate``, ``late``, ``ignored`` or ``dead_lettered``."""
        ...

    def call_postponed(self, reason: str) -> None:
        """Count a call that will be retried: ``key_busy``, ``throttled``, ``unreachable``, ``misconfigured``."""
        ...

    def limit_changed(self, limit: int) -> None:
        """Set the current limit of concurrent calls to Temporal."""
        ...

    def time_in_future(self, topic: str) -> None:
        """Count an event with a timestamp in the future."""
        ...

    def rebalanced(self) -> None:
        """Count an assignment of partitions."""
        ...

    def log_replaced(self, topic: str) -> None:
        """Count a partition whose log went backwards, or was replaced by another one."""
        ...

    def rebuilt(self) -> None:
        """Count a stalled consumer that was replaced."""
        ...

    def observe(self, snapshot: ConsumerSnapshot) -> None:
        """Set the gauges. Called about once a second, and once more at the end of a consumer session."""
        ...
