"""What goes wrong between Temporal and its workers, and how long things take."""

import random
from dataclasses import dataclass
from typing import Final

_MAIL: Final = "send_email_activity"


@dataclass
class Mood:
    """What goes wrong between the server and its workers, as shares. ``slow``: of the pauses that take long."""

    slow: float = 0.0
    slow_locals: float = 0.0
    slow_work: float = 0.0
    lost_answers: float = 0.0
    long_mails: float = 0.1
    evictions: float = 0.01
    crashes: float = 0.0
    freezes: float = 0.0
    local_freezes: float = 0.0


class Pauses:
    """Draws how long things take, as the mood is."""

    def __init__(self, rng: random.Random) -> None:
        self.mood = Mood()
        self._rng = rng

    def small(self) -> float:
        """Return how long something small takes."""
        if self.mood.slow and self._rng.random() < self.mood.slow:
            return self._rng.uniform(0.1, 4.0)
        return self._rng.uniform(0.0005, 0.004)

    def local(self) -> float:
        """Return how long a local activity takes to do its work: now and then longer than it may."""
        if self._rng.random() < self.mood.slow_locals:
            return self._rng.uniform(0.3, 1.3)
        return self._rng.uniform(0.0005, 0.02)

    def frozen_before_local(self) -> float:
        """Return for how long a worker freezes just before a local activity does its work: 0 nearly always."""
        if self.mood.local_freezes and self._rng.random() < self.mood.local_freezes:
            return self._rng.choice((2.0, 11.0, 20.0, 40.0, 320.0))
        return 0.0

    def before_activity(self, kind: str) -> float:
        """Return how long an activity waits for its turn."""
        if kind == _MAIL and self._rng.random() < self.mood.long_mails:
            return self._rng.uniform(0.0, 40.0)
        return self.small()

    def work(self, kind: str) -> float:
        """Return how long an activity takes to do its work."""
        if kind == _MAIL and self._rng.random() < self.mood.long_mails:
            return self._rng.uniform(0.5, 11.0)
        if self._rng.random() < self.mood.slow_work:
            return self._rng.uniform(0.5, 20.0)
        return self._rng.uniform(0.001, 0.05)

    def loses_answer(self) -> bool:
        """Tell whether the answer of an activity is lost on its way."""
        return self._rng.random() < self.mood.lost_answers
