"""Figures and their targets, as stored in ``docs/performance.json``."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median, quantiles
from typing import Any, Final, Literal


@dataclass(frozen=True)
class Target:
    """The target of a figure."""

    name: str
    about: str
    bound: float
    side: Literal["at most", "at least"]

    def is_met_by(self, value: float) -> bool:
        """Tell whether a value meets the target."""
        return value <= self.bound if self.side == "at most" else value >= self.bound


TARGETS: Final = (
    Target("P1", "Temporal server's CPU per sign-in up to its result, ours ÷ floor, at the same rate", 1.15, "at most"),
    Target("P1 in a crowd", "the same, each as fast as possible", 1.15, "at most"),
    Target("P1b", "Temporal server's CPU for the end of a lingering mailbox ÷ floor at that rate", 0.25, "at most"),
    Target("P2", "worker's and consumer's CPU per sign-in, ours ÷ floor's worker, at the same rate", 2.2, "at most"),
    Target("P2 in a crowd", "the same, each as fast as possible", 2.2, "at most"),
    Target("P3", "sign-ins per second, ours ÷ floor", 0.75, "at least"),
    Target("P4", "sign-ins per second, ours ÷ the usual way", 1.6, "at least"),
    Target("P5 starts", "consumer alone, starts: events per second ÷ a bare loop at its best", 0.90, "at least"),
    Target("P5 starts, p99", "p99 of a start, consumer ÷ that loop", 3.0, "at most"),
    Target(
        "P5 signals",
        "consumer alone, signals with start: events per second ÷ that loop at its best",
        0.90,
        "at least",
    ),
    Target("P5 signals, p99", "p99 of a signal with start, consumer ÷ that loop", 3.0, "at most"),
    Target("P6", "submit to result, p50 at 20 % load ÷ (a signal + a workflow task + a publish)", 1.8, "at most"),
    Target("P7", "total CPU per sign-in while 10,000 people wait for their code ÷ while 100 wait", 1.10, "at most"),
    Target("P7 50,000", "the same while 50,000 people wait", 1.10, "at most"),
    Target("P8", "three workers ÷ one, projected from CPU per sign-in", 2.5, "at least"),
    Target("P9", "records decoded, validated and dispatched, per second and core", 20_000, "at least"),
)

_ON_CLUSTER: Final = {
    "P1": 1.15,
    "P1 in a crowd": 1.15,
    "P2": 2.0,
    "P2 in a crowd": 2.0,
    "P3": 0.70,
    "P4": 2.0,
    "P5 starts": 0.90,
    "P5 starts, p99": 3.0,
    "P5 signals": 0.90,
    "P5 signals, p99": 3.0,
    "P6": 1.3,
}
CLUSTER_TARGETS: Final = tuple(
    replace(target, bound=_ON_CLUSTER[target.name]) for target in TARGETS if target.name in _ON_CLUSTER
)
"""The targets on Temporal as it runs in production. Its CPU includes the database's."""


@dataclass
class Figure:
    """One value: the median of its rounds, together with all of them."""

    values: list[float]
    notes: dict[str, float] = field(default_factory=dict)

    def as_json(self, target: Target) -> dict[str, Any]:
        """Return the figure as a member of ``docs/performance.json``."""
        value = median(self.values)
        notes = {name: rounded(note) for name, note in self.notes.items()}

        return {
            "about": target.about,
            "target": f"{target.side} {target.bound:g}",
            "value": rounded(value),
            "met": target.is_met_by(value),
            "spread": [rounded(min(self.values)), rounded(max(self.values))],
            "rounds": len(self.values),
            "values": [rounded(one) for one in self.values],
            **({"notes": notes} if notes else {}),
        }


@dataclass(frozen=True)
class Waits:
    """Waits in milliseconds."""

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Waits":
        """Return the waits of all people."""
        return cls(median(seconds) * 1e3, quantiles(seconds, n=100, method="inclusive")[98] * 1e3)

    def as_json(self) -> dict[str, float]:
        """Return the waits as members of ``docs/performance.json``."""
        return {name: rounded(value) for name, value in asdict(self).items()}


def rounded(value: float) -> float:
    """Round to three significant figures, and return whole numbers as ``int``."""
    shown = float(f"{value:.3g}") if abs(value) < 1000 else float(round(value))
    return int(shown) if shown == int(shown) else shown
