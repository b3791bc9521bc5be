"""How long requests wait to be read, phase by phase: what a change of the number of workers costs people."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple


class Read(NamedTuple):
    """A request: when Kafka had it and when its workflow started, in seconds since the epoch."""

    produced_at: float
    started_at: float

    @property
    def waited_s(self) -> float:
        """How long it waited. The two clocks may differ by a little."""
        return max(0.0, self.started_at - self.produced_at)


@dataclass(frozen=True)
class Phase:
    """What happened to the requests of a phase. ``lag``: the most requests that waited at the same time."""

    name: str
    requests: int
    median_s: float
    longest_s: float
    lag: int

    def __str__(self) -> str:
        return f"{self.name}: {self.longest_s:.1f} s, lag {self.lag}"


def phases(reads: Iterable[Read], begins: Mapping[str, float]) -> list[Phase]:
    """Divide requests by the phase in which they were produced. ``begins``: when each phase began, in order.

    A phase without requests is left out.
    """
    names = list(begins)
    members: dict[str, list[Read]] = {name: [] for name in names}
    for read in sorted(reads):
        begun = [name for name in names if begins[name] <= read.produced_at]
        if begun:
            members[begun[-1]].append(read)

    return [_phase(name, own) for name, own in members.items() if own]


def _phase(name: str, reads: Sequence[Read]) -> Phase:
    waits = [read.waited_s for read in reads]
    return Phase(name, len(reads), median(waits), max(waits), _most_at_once(reads))


def _most_at_once(reads: Sequence[Read]) -> int:
    """Return the most requests that waited at the same time. One that is read is gone before the next comes."""
    changes = [(read.produced_at, 1) for read in reads]
    changes += [(read.produced_at + read.waited_s, -1) for read in reads]

    waiting = most = 0
    for _, change in sorted(changes):
        waiting += change
        most = max(most, waiting)
    return most
