"""What happens during the demo. The people write it, the views read it."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

Kind = Literal["in", "mail", "out", "dead", "stack"]


@dataclass(frozen=True)
class Entry:
    """One line: an inbound event, a mail, a result, a dead letter, or news of the stack."""

    at: datetime
    kind: Kind
    who: str
    text: str


@dataclass
class Gauges:
    """Numbers of the worker and of Temporal, as last read."""

    lag: int | None = None
    in_flight: int | None = None
    outcomes: dict[str, int] = field(default_factory=dict)
    workflows: dict[str, dict[str, int]] = field(default_factory=dict)


class Journal:
    """Entries in order, the last mail, the gauges, and all latencies."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.last_mail: str = ""
        self.gauges = Gauges()
        self.request_to_mail_s: list[float] = []
        self.submit_to_result_s: list[float] = []
        self._followers: list[Callable[[Entry], None]] = []

    def follow(self, follower: Callable[[Entry], None]) -> None:
        """Call ``follower`` with every entry from now on."""
        self._followers.append(follower)

    def note(self, kind: Kind, who: str, text: str) -> None:
        """Add an entry."""
        entry = Entry(datetime.now(UTC), kind, who, text)
        self.entries.append(entry)
        for follower in self._followers:
            follower(entry)


def milliseconds(seconds: list[float]) -> str:
    """Return the median as text, and the longest if there are several."""
    if not seconds:
        return "-"

    median = f"{statistics.median(seconds) * 1000:.0f} ms"
    return median if len(seconds) == 1 else f"{median} (longest {max(seconds) * 1000:.0f} ms)"
