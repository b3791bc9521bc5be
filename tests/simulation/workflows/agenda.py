"""Simulated time: what is to happen, and when."""

import heapq
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

BEGINNING: Final = datetime(2026, 11, 27, 12, tzinfo=UTC)
"""The time of day when a simulation begins."""

_MAX_ACTS: Final = 60_000
"""A hundred times what happens in a usual simulation."""

Act = Callable[[], object]


class Endless(Exception):
    """Raised when more happens than can happen."""


class Entry:
    """Something that is to happen, unless it is cancelled."""

    __slots__ = ("act",)

    def __init__(self, act: Act) -> None:
        self.act: Act | None = act

    def cancel(self) -> None:
        """Let it not happen."""
        self.act = None


class Agenda:
    """A clock that jumps to what happens next. What is due at the same time happens in any order."""

    def __init__(self, rng: random.Random) -> None:
        self.now = 0.0
        self._rng = rng
        self._heap: list[tuple[float, float, int, Entry]] = []
        self._added = 0
        self._acts = 0

    def later(self, seconds: float, act: Act) -> Entry:
        """Let something happen after so many seconds."""
        entry = Entry(act)
        self._added += 1
        at = round(self.now + max(seconds, 0.0), 6)
        heapq.heappush(self._heap, (at, self._rng.random(), self._added, entry))
        return entry

    def run(self, until: float) -> bool:
        """Let everything happen up to a moment. Return whether anything is left for later."""
        while self._heap and self._heap[0][0] <= until:
            at, _, _, entry = heapq.heappop(self._heap)
            if entry.act is not None:
                self.now = at
                self._acts += 1
                if self._acts > _MAX_ACTS:
                    raise Endless
                entry.act()

        while self._heap and self._heap[0][3].act is None:
            heapq.heappop(self._heap)
        return bool(self._heap)

    @property
    def next_at(self) -> float | None:
        """When something happens next."""
        return self._heap[0][0] if self._heap else None

    def datetime(self, skew: float = 0.0) -> datetime:
        """Return the time of day, as a clock shows it that is ahead by ``skew`` seconds."""
        return BEGINNING + timedelta(seconds=self.now + skew)
