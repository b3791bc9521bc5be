"""What happened in a simulation, event by event."""

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple


class Happening(NamedTuple):
    """One event, at ``at`` seconds after the beginning."""

    at: float
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.at:10.4f}  {self.kind:<28} {self.text}".rstrip()


class Story:
    """Counts events by their kind, and keeps them if ``told``. ``digest`` tells two stories apart."""

    def __init__(self, now: Callable[[], float], told: bool = False) -> None:
        self.kinds: Counter[str] = Counter()
        self.happenings: list[Happening] = []
        self._now = now
        self._told = told
        self._is_over = False
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, kind: str, text: str = "") -> None:
        """Note an event."""
        if self._is_over:
            return

        happening = Happening(self._now(), kind, text)
        self.kinds[kind] += 1
        self._hash.update(f"{happening}\n".encode())
        if self._told:
            self.happenings.append(happening)

    def remark(self, text: str) -> None:
        """Note a line of the log. It is no part of the digest."""
        if self._told:
            self.happenings.append(Happening(self._now(), "log", text))

    def end(self) -> None:
        """Take no further events: what is left of the world is only cleared away."""
        self._is_over = True

    @property
    def digest(self) -> str:
        """A hash of all events with their times."""
        return self._hash.hexdigest()
