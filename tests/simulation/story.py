"""What happened in a simulation, event by event."""

import hashlib
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, NamedTuple

COMMIT: Final = "OffsetCommit"
"""A kind of event that is also counted by the second."""

REMARK: Final = "log"
"""Lines of the worker's log, which are no events."""


class Happening(NamedTuple):
    """One event, at ``at`` seconds after the beginning."""

    at: float
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.at:10.4f}  {self.kind:<28} {self.text}".rstrip()


class Story:
    """Counts events by their kind, and keeps them; remarks only if ``told``. ``digest`` tells two stories apart.

    ``hooks``: what to call when something of a kind happens.
    """

    def __init__(self, now: Callable[[], float], told: bool = False) -> None:
        self.kinds: Counter[str] = Counter()
        self.hooks: dict[str, Callable[[], None]] = {}
        self.happenings: list[Happening] = []
        self._now = now
        self._told = told
        self._is_over = False
        self._recent: dict[str, deque[float]] = {}
        self._most: Counter[str] = Counter()

    def add(self, kind: str, text: str = "") -> None:
        """Note an event."""
        if self._is_over:
            return

        self.happenings.append(Happening(self._now(), kind, text))
        self.kinds[kind] += 1
        if kind == COMMIT:
            self._count_recent(kind)
        if kind in self.hooks:
            self.hooks[kind]()

    def times_of(self, kind: str) -> list[float]:
        """Return when events of this kind happened."""
        return [happening.at for happening in self.happenings if happening.kind == kind]

    def most_within_a_second(self, kind: str) -> int:
        """Return how many events of this kind there were in the second that had most of them: of ``COMMIT`` only."""
        return self._most[kind]

    def _count_recent(self, kind: str) -> None:
        recent = self._recent.setdefault(kind, deque())
        recent.append(self._now())
        while recent[0] < self._now() - 1:
            recent.popleft()
        self._most[kind] = max(self._most[kind], len(recent))

    def remark(self, text: str) -> None:
        """Note a line of the log. It is no part of the digest."""
        if self._told:
            self.happenings.append(Happening(self._now(), REMARK, text))

    def end(self) -> None:
        """Take no further events: what is left of the world is only cleared away."""
        self._is_over = True

    @property
    def digest(self) -> str:
        """A hash of all events with their times, made when somebody asks for it."""
        lines = (f"{happening}\n" for happening in self.happenings if happening.kind != REMARK)
        return hashlib.blake2b("".join(lines).encode(), digest_size=16).hexdigest()
