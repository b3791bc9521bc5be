"""How many calls may be under way: as many as the server works on, and a few more that wait (docs/adr/0011).

By Little's law ``limit * (1 - base / latency)`` of the calls are waiting somewhere,
where ``base`` is the latency of a call that has hardly any others beside it. Each round
of samples moves the limit towards the one at which ``sqrt(limit)`` calls wait::

    limit = limit * 3 * base / latency + sqrt(limit)

Up to 3× the base latency is not congestion: concurrent writes are batched, and a server slows down before it is full.
Below that the limit grows. Above, it shrinks.
"""

import math
from collections import defaultdict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from statistics import median
from typing import Final

_BASE_SAMPLES: Final = 30
_ROUND_SAMPLES: Final = 16
# In one round, latency takes at most this share of the limit. So latency alone never
# takes it below 4, where half of the limit equals its root: a base that was measured
# too low costs little.
_MIN_GRADIENT: Final = 0.5
_TOLERANCE: Final = 3.0
_BACK_OFF: Final = 0.5
_MEASURING_SHARE: Final = 0.02


@dataclass(frozen=True)
class Sample:
    """One call that ended.

    Times are seconds of one clock; calls of one ``kind`` take about equally long.

    ``concurrency``: the most calls that were under way at any time while this one was,
    itself included. ``overloaded``: the server said so, or did not answer in time.
    """

    kind: Hashable
    started_at: float
    ended_at: float
    concurrency: int
    overloaded: bool = False

    @property
    def latency_s(self) -> float:
        """How long the call took."""
        return self.ended_at - self.started_at


class AdaptiveLimit:
    """Decides by nothing but samples, given in the order in which the calls ended.

    Calls of which at most ``minimum`` were under way measure the base. If too few of
    them were seen within ``base_interval_s``, the limit drops to ``minimum`` until
    there were enough: a base measured under load would include waiting, and let the
    limit creep up for ever. The slower the calls, the longer the interval, so that
    measuring takes a small share of the time. The minimum is above 1, so that one call
    that hangs meanwhile does not stop all others.
    """

    def __init__(
        self,
        maximum: int = 64,
        minimum: int = 3,
        initial: int = 4,
        base_interval_s: float = 30.0,
    ) -> None:
        self._maximum = maximum
        self._minimum = min(minimum, maximum)
        self._min_base_interval_s = base_interval_s
        self._base_interval_s = base_interval_s
        self._limit = self._bounded(initial)
        self._bases: dict[Hashable, deque[float]] = defaultdict(lambda: deque(maxlen=_BASE_SAMPLES))
        self._base_sampled_at: deque[float] = deque(maxlen=_BASE_SAMPLES)
        self._base_samples_missing = 0

        self._begin_round(-math.inf)
        self._measure_base()

    @property
    def limit(self) -> int:
        """How many calls may be under way now."""
        return self._minimum if self._base_samples_missing else int(self._limit)

    def record(self, sample: Sample) -> None:
        """Learn from one call."""
        if sample.overloaded:
            self._back_off(sample)
            return

        if sample.concurrency <= self._minimum:
            self._record_base(sample)
        if not self._base_samples_missing and self._is_of_this_round(sample):
            self._record_latency(sample)

    def _back_off(self, sample: Sample) -> None:
        """Shrink once for all calls that were under way together."""
        if self._is_of_this_round(sample):
            self._limit = self._bounded(self._limit * _BACK_OFF)
            self._begin_round(sample.ended_at)

    def _record_base(self, sample: Sample) -> None:
        self._bases[sample.kind].append(sample.latency_s)
        self._base_sampled_at.append(sample.ended_at)

        if self._base_samples_missing and self._is_of_this_round(sample):
            self._base_samples_missing -= 1
            if not self._base_samples_missing:
                took_s = sample.ended_at - self._base_sampled_at[0]
                self._base_interval_s = max(self._min_base_interval_s, took_s / _MEASURING_SHARE)
                self._begin_round(sample.ended_at)

    def _record_latency(self, sample: Sample) -> None:
        self._round_samples += 1
        if sample.concurrency >= self.limit:
            self._limit_was_reached = True

        base = self._bases.get(sample.kind)
        if base:
            self._slowdowns.append(sample.latency_s / max(median(base), 1e-9))

        if self._round_samples >= max(_ROUND_SAMPLES, 2 * self.limit):
            self._end_round(sample.ended_at)

    def _end_round(self, now: float) -> None:
        if self._slowdowns:
            self._adjust(median(self._slowdowns))
        if not self._slowdowns or now - self._base_sampled_at[0] > self._base_interval_s:
            self._measure_base()

        self._begin_round(now)

    def _adjust(self, slowdown: float) -> None:
        gradient = max(_MIN_GRADIENT, min(1.0, _TOLERANCE / slowdown))
        wanted = self._limit * gradient + math.sqrt(self._limit)

        if wanted < self._limit or self._limit_was_reached:
            self._limit = self._bounded(wanted)

    def _measure_base(self) -> None:
        self._base_samples_missing = _BASE_SAMPLES

    def _begin_round(self, now: float) -> None:
        """Forget the last round's samples.

        Calls that started before ``now`` had another limit, and do not count.
        """
        self._round_started_at = now
        self._round_samples = 0
        self._limit_was_reached = False
        self._slowdowns: list[float] = []

    def _is_of_this_round(self, sample: Sample) -> bool:
        return sample.started_at >= self._round_started_at

    def _bounded(self, limit: float) -> float:
        return max(self._minimum, min(limit, self._maximum))
