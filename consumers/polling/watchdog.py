"""Detects a consumer that stalls silently although Kafka would serve it (docs/adr/0012).

A symptom is something that should have changed by now. Its clock runs while it stays the same. While Kafka itself is
away, no clock runs: an outage is not a stall.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from consumers.metrics import PartitionPosition
from consumers.ports import Partition, Stopwatch

_CHECKS_PER_STALL: Final = 4


class ConsumerStalled(Exception):
    """Raised when a replaced consumer stalls too and was not well in between."""


@dataclass(frozen=True)
class Progress:
    """How far a consumer is at one moment.

    ``polls`` counts polls that ended and attempts to join, ``answers`` Kafka's answers with end offsets. ``paused``
    partitions are not read on purpose.
    """

    assigned: bool
    polls: int
    answers: int
    positions: Sequence[PartitionPosition] = ()
    paused: Collection[Partition] = ()


class Symptom(NamedTuple):
    """Something that should change, perhaps in one partition. When ``mark`` changes, it is a new symptom."""

    name: str
    mark: int | None
    partition: Partition | None = None

    def as_log(self) -> dict[str, Any]:
        """Return it as fields of a log line."""
        fields: dict[str, Any] = {"symptom": self.name}
        if self.partition is not None:
            fields["topic"] = self.partition.topic
            fields["partition"] = self.partition.number

        return fields


def symptoms(progress: Progress) -> Iterator[Symptom]:
    """Yield everything that has to change before long."""
    yield Symptom("no poll returns", progress.polls)
    yield Symptom("no end offsets arrive", progress.answers)
    if not progress.assigned:
        yield Symptom("no partitions are assigned", None)

    for position in progress.positions:
        if _has_unread(position) and position.partition not in progress.paused:
            yield Symptom("nothing is read", position.position, position.partition)
        if position.watermark != position.committed:
            yield Symptom("nothing is committed", position.committed, position.partition)


def _has_unread(position: PartitionPosition) -> bool:
    if position.position is None:
        return True

    # What lies behind an open transaction can't be read: that is not the consumer's fault.
    return position.stable_end is not None and position.stable_end > position.position


class Watchdog:
    """Decides when a consumer has stalled. It measures time by the stopwatch alone.

    A stall is a symptom that lasted ``stall_s`` while Kafka answered every check, about four of them. One rebuild is
    allowed. The next one is allowed only after the consumer was well for ``stall_s`` without a break: no symptom lasted
    a quarter of that. So a rebuild that changes nothing is followed by the end, and one that helped may happen again.
    """

    def __init__(self, stall_s: float = 50.0, stopwatch: Stopwatch = time.monotonic) -> None:
        self._stall_s = stall_s
        self._suspicious_s = stall_s / _CHECKS_PER_STALL
        self._stopwatch = stopwatch
        self._was_rebuilt = False
        self.begin()

    def begin(self) -> None:
        """Begin to observe a new consumer."""
        now = self._stopwatch()
        self._since: dict[Symptom, float] = {}
        self._observed_at = now
        self._checked_at = now
        self._well_since = now

    def observe(self, progress: Progress) -> None:
        """Observe the consumer now.

        An observation that comes late is not the consumer's fault: this process was frozen or starved, and nothing
        could move.
        """
        now = self._stopwatch()
        if now - self._observed_at > self._suspicious_s:
            self._restart_clocks(now)

        self._observed_at = now
        self._since = {symptom: self._since.get(symptom, now) for symptom in symptoms(progress)}

        if not self.is_well:
            self._well_since = now
        elif now - self._well_since >= self._stall_s:
            self._was_rebuilt = False

    @property
    def is_well(self) -> bool:
        """Whether no symptom lasts suspiciously long."""
        return self._longest_s < self._suspicious_s

    @property
    def wants_check(self) -> bool:
        """Whether to check now if Kafka answers: from time to time, and before a stall is declared."""
        waited_s = self._stopwatch() - self._checked_at
        return not self.is_well and (waited_s >= self._suspicious_s or self._longest_s >= self._stall_s)

    def checked(self, kafka_answers: bool) -> None:
        """Note the result of a check. While Kafka is away, no symptom means anything: all clocks restart."""
        now = self._stopwatch()
        self._checked_at = now
        if not kafka_answers:
            self._restart_clocks(now)

    @property
    def stall(self) -> Symptom | None:
        """The symptom that lasted too long, if any."""
        return self._oldest if self._longest_s >= self._stall_s else None

    def rebuild(self, stall: Symptom) -> None:
        """Allow a rebuild. Raises ``ConsumerStalled`` if the previous one did not help."""
        if self._was_rebuilt:
            raise ConsumerStalled(stall.name)

        self._was_rebuilt = True

    def _restart_clocks(self, now: float) -> None:
        self._well_since = now
        self._since = dict.fromkeys(self._since, now)

    @property
    def _oldest(self) -> Symptom | None:
        return min(self._since, key=self._since.__getitem__, default=None)

    @property
    def _longest_s(self) -> float:
        now = self._stopwatch()
        return now - min(self._since.values(), default=now)


async def until_stalled(
    watchdog: Watchdog,
    progress: Callable[[], Progress],
    is_reachable: Callable[[], Awaitable[bool]],
    every_s: float,
) -> Symptom:
    """Observe every ``every_s`` until the consumer has stalled, and return why. ``is_reachable`` asks Kafka itself."""
    while True:
        await asyncio.sleep(every_s)

        watchdog.observe(progress())
        if watchdog.wants_check:
            watchdog.checked(await is_reachable())
            watchdog.observe(progress())

        if watchdog.stall is not None:
            return watchdog.stall
