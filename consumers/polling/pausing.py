"""Which partitions are read just now."""

from collections.abc import Collection, Sequence
from typing import Protocol

from consumers.polling.assignment import Assignment
from consumers.ports import Partition, RecordSource, Switch


class Room(Protocol):
    """Lanes, as far as steering asks them."""

    @property
    def room(self) -> int:
        """How many items more may be put."""
        ...

    @property
    def roomy(self) -> bool:
        """Whether it is worth going on after there was no room."""
        ...


class Steering:
    """Pauses what must not be read now and resumes the rest. It keeps its own state: a rebalance forgets pauses."""

    def __init__(self, source: RecordSource, assignment: Assignment, switches: Sequence[Switch], span: int) -> None:
        self._source = source
        self._assignment = assignment
        self._switches = switches
        self._span = span
        self._paused: set[Partition] = set()

    @property
    def halted(self) -> bool:
        """Whether a breaker is open."""
        return any(switch.is_open for switch in self._switches)

    @property
    def paused(self) -> Collection[Partition]:
        """What is not read just now."""
        return self._paused

    @property
    def looks_soon(self) -> bool:
        """Whether pauses may end any moment: lanes empty soon, while a breaker takes its time."""
        return bool(self._paused) and not self.halted

    def forget(self) -> None:
        """Note that nothing is paused: a rebalance came."""
        self._paused = set()

    def steer(self, lanes: Room) -> None:
        """Pause all without room, or while a breaker is open; else what is far ahead of its watermark."""
        partitions = set(self._assignment.partitions)
        was_full = bool(partitions) and partitions == self._paused
        full = not (lanes.roomy if was_full else lanes.room)
        stop = full or any(switch.stops_intake for switch in self._switches)
        wanted = partitions if stop else self._assignment.far_ahead(self._span)
        self._source.pause(wanted - self._paused)
        self._source.resume(self._paused - wanted)
        self._paused = wanted
