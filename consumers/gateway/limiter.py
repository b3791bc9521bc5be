"""How many calls may be under way: as many as the server works on, and a few that wait for it (docs/adr/0011).

By Little's law the calls that wait somewhere are ``limit * (1 - base / latency)``, where ``base`` is what a call takes
in calm, among very few others. Each round of samples moves the limit to where ``sqrt(limit)`` of them wait::

    limit = limit * 3 * base / latency + sqrt(limit)

A server that is filling up is slower before it is full: three times as long is no crowd yet, for what waits together is
also written together. Below that the limit grows; beyond, it comes back by itself.
"""

import math
from collections import defaultdict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from statistics import median
from typing import Final

_CALM_SAMPLES: Final = 30
_ROUND_SAMPLES: Final = 16
# The most that latency takes from the limit in one round. It is also why latency alone never takes it below 4, where
# half of it is its own root: a base that was measured too low costs little.
_STEEPEST: Final = 0.5
_TOLERANCE: Final = 3.0
_BACK_OFF: Final = 0.5
_LOOKING_SHARE: Final = 0.02


@dataclass(frozen=True)
class Sample:
    """One call that ended. Times in seconds of one clock; calls of one ``kind`` take about as long.

    ``company``: the most calls that were under way at any time while it was, itself included. ``overloaded``: the
    server said so, or did not answer in time.
    """

    kind: Hashable
    begun_at: float
    ended_at: float
    company: int
    overloaded: bool = False

    @property
    def latency_s(self) -> float:
        """How long it took."""
        return self.ended_at - self.begun_at


class AdaptiveLimit:
    """Decides by samples and nothing else, given in the order in which they ended.

    Calls among at most ``minimum`` give the base. Where there were too few for ``look_again_s``, the limit goes down to
    ``minimum`` for as long as it takes to see some: a base measured in a crowd would hold its waiting too, and let the
    limit creep up for ever. With slow calls it looks less often, so that it spends little of its time on it. The
    minimum is above 1 so that meanwhile one call that hangs does not stop all others.
    """

    def __init__(self, maximum: int = 64, minimum: int = 3, begin_with: int = 4, look_again_s: float = 30.0) -> None:
        self._maximum = maximum
        self._minimum = min(minimum, maximum)
        self._look_again_s = self._look_every_s = look_again_s
        self._limit = self._bounded(begin_with)
        self._bases: dict[Hashable, deque[float]] = defaultdict(lambda: deque(maxlen=_CALM_SAMPLES))
        self._calm_at: deque[float] = deque(maxlen=_CALM_SAMPLES)
        self._looking = 0
        self._was_used = False
        self._begin_round(-math.inf)
        self._look()

    @property
    def limit(self) -> int:
        """How many calls may be under way now."""
        return self._minimum if self._looking else int(self._limit)

    def record(self, sample: Sample) -> None:
        """Learn from one call."""
        if sample.overloaded:
            self._shrink(sample)
            return
        if sample.company <= self._minimum:
            self._note_base(sample)
        if not self._looking and self._is_of_this_round(sample):
            self._note_latency(sample)

    def _shrink(self, sample: Sample) -> None:
        """Back off, once for all calls that were under way together."""
        if self._is_of_this_round(sample):
            self._limit = self._bounded(self._limit * _BACK_OFF)
            self._begin_round(sample.ended_at)

    def _note_base(self, sample: Sample) -> None:
        self._bases[sample.kind].append(sample.latency_s)
        self._calm_at.append(sample.ended_at)
        if self._looking and self._is_of_this_round(sample):
            self._looking -= 1
            if not self._looking:
                took_s = sample.ended_at - self._calm_at[0]
                self._look_every_s = max(self._look_again_s, took_s / _LOOKING_SHARE)
                self._begin_round(sample.ended_at)

    def _note_latency(self, sample: Sample) -> None:
        self._seen += 1
        self._was_used = self._was_used or sample.company >= self.limit
        base = self._bases.get(sample.kind)
        if base:
            self._stretches.append(sample.latency_s / max(median(base), 1e-9))
        if self._seen >= max(_ROUND_SAMPLES, 2 * self.limit):
            self._decide(sample.ended_at)

    def _decide(self, now: float) -> None:
        if self._stretches:
            self._follow(median(self._stretches))
        if not self._stretches or now - self._calm_at[0] > self._look_every_s:
            self._look()
        self._begin_round(now)

    def _follow(self, stretch: float) -> None:
        wanted = self._limit * max(_STEEPEST, min(1.0, _TOLERANCE / stretch)) + math.sqrt(self._limit)
        if wanted < self._limit or self._was_used:
            self._limit = self._bounded(wanted)

    def _look(self) -> None:
        self._looking = _CALM_SAMPLES

    def _begin_round(self, now: float) -> None:
        """Forget what was seen: calls that began before ``now`` had another limit, and tell nothing about this one."""
        self._round_since = now
        self._seen = 0
        self._was_used = False
        self._stretches: list[float] = []

    def _is_of_this_round(self, sample: Sample) -> bool:
        return sample.begun_at >= self._round_since

    def _bounded(self, limit: float) -> float:
        return max(self._minimum, min(limit, self._maximum))
