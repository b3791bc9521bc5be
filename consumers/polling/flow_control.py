"""Pauses and resumes partitions, so that no more is read than can be handled."""

from collections.abc import Collection, Sequence

from consumers.polling.assignment import Assignment
from consumers.polling.lanes import Capacity
from consumers.ports import IntakeBreaker, Partition, RecordSource


class FlowControl:
    """Pauses the partitions that must not be read now and resumes the others.

    It keeps track of the pauses itself, because a rebalance ends them in Kafka's client.
    """

    def __init__(
        self,
        source: RecordSource,
        assignment: Assignment,
        capacity: Capacity,
        breakers: Sequence[IntakeBreaker],
        max_read_ahead: int,
    ) -> None:
        self._source = source
        self._assignment = assignment
        self._capacity = capacity
        self._breakers = breakers
        self._max_read_ahead = max_read_ahead
        self._paused: set[Partition] = set()

    @property
    def halted(self) -> bool:
        """Whether a breaker is open."""
        return any(breaker.is_open for breaker in self._breakers)

    @property
    def paused(self) -> Collection[Partition]:
        """The partitions that are paused."""
        return self._paused

    @property
    def may_resume_soon(self) -> bool:
        """Whether pauses may end any moment: lanes empty quickly, a breaker takes its time."""
        return bool(self._paused) and not self.halted

    def reset(self) -> None:
        """Note that a rebalance ended all pauses."""
        self._paused = set()

    def update(self) -> None:
        """Pause and resume partitions as needed now."""
        wanted = self._partitions_to_pause()
        self._source.pause(wanted - self._paused)
        self._source.resume(self._paused - wanted)
        self._paused = wanted

    def _partitions_to_pause(self) -> set[Partition]:
        """Return all if there is no capacity or a breaker stops intake, else those read far ahead."""
        partitions = set(self._assignment.partitions)
        was_full = bool(partitions) and partitions == self._paused
        has_capacity = self._capacity.can_resume if was_full else self._capacity.free > 0

        if not has_capacity or any(breaker.stops_intake for breaker in self._breakers):
            return partitions

        return self._assignment.far_ahead(self._max_read_ahead)
