"""Notices a consumer that has stalled without a word, though Kafka would serve it (docs/adr/0012).

A symptom is something that should have changed by now. Its clock runs while it stays the same, and stands still while
Kafka itself is away: that is nobody's stall.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from consumers.ports import Partition, PartitionPosition, Stopwatch

_CHECKS: Final = 4


class ConsumerStalled(Exception):
    """Raised when a consumer stalls that was rebuilt for it and has not been well since."""


@dataclass(frozen=True)
class Vitals:
    """How a consumer does at one moment.

    ``polls`` counts polls that ended and consumers that were started, ``told`` the times that Kafka told the ends.
    What is ``paused`` is not read on purpose.
    """

    assigned: bool
    polls: int
    told: int
    positions: Sequence[PartitionPosition] = ()
    paused: Collection[Partition] = ()


class Symptom(NamedTuple):
    """What is wrong, perhaps of one partition. Progress makes another one of it: ``mark`` differs then."""

    name: str
    mark: int | None
    partition: Partition | None = None

    def as_log(self) -> dict[str, Any]:
        """Return it as fields of a log line."""
        place = {} if self.partition is None else {"topic": self.partition.topic, "partition": self.partition.number}
        return {"symptom": self.name, **place}


def symptoms(vitals: Vitals) -> Iterator[Symptom]:
    """Tell everything that has to change before long."""
    yield Symptom("no poll returns", vitals.polls)
    yield Symptom("the ends of partitions are not told", vitals.told)
    if not vitals.assigned:
        yield Symptom("no partitions are assigned", None)
    for each in vitals.positions:
        if _is_behind(each) and each.partition not in vitals.paused:
            yield Symptom("nothing is read", each.position, each.partition)
        if each.watermark != each.committed:
            yield Symptom("nothing is committed", each.committed, each.partition)


def _is_behind(position: PartitionPosition) -> bool:
    return position.position is None or (position.end is not None and position.end > position.position)


class Watchdog:
    """Decides; time comes from the stopwatch alone.

    A stall is a symptom that stayed for ``stall_s`` while Kafka answered whenever it was asked, about four times. One
    rebuild is allowed; the next one only after the consumer was well for ``stall_s`` on end: nothing that lasted for a
    quarter of that. A rebuild that changes nothing is so followed by the end, and one that helped may be needed again.
    """

    def __init__(self, stall_s: float = 50.0, stopwatch: Stopwatch = time.monotonic) -> None:
        self._stall_s = stall_s
        self._soon_s = stall_s / _CHECKS
        self._stopwatch = stopwatch
        self._was_rebuilt = False
        self.begin()

    def begin(self) -> None:
        """Look at a consumer that is new."""
        self._since: dict[Symptom, float] = {}
        self._looked_at = self._checked_at = self._well_since = self._stopwatch()

    def look(self, vitals: Vitals) -> None:
        """Look how the consumer does now.

        A look that comes late was not the consumer's fault: this process was frozen or starved, and nothing could move.
        """
        now = self._stopwatch()
        if now - self._looked_at > self._soon_s:
            self._begin_anew(now)
        self._looked_at = now
        self._since = {symptom: self._since.get(symptom, now) for symptom in symptoms(vitals)}
        if not self.is_well:
            self._well_since = now
        elif now - self._well_since >= self._stall_s:
            self._was_rebuilt = False

    @property
    def is_well(self) -> bool:
        """Whether nothing lasts for long."""
        return self._lasts_s < self._soon_s

    @property
    def wants_check(self) -> bool:
        """Whether to find out now if Kafka answers at all: now and then, and before the last word."""
        waited_s = self._stopwatch() - self._checked_at
        return not self.is_well and (waited_s >= self._soon_s or self._lasts_s >= self._stall_s)

    def checked(self, answers: bool) -> None:
        """Take what was found. If Kafka is away, no symptom means anything: all begin anew."""
        self._checked_at = now = self._stopwatch()
        if not answers:
            self._begin_anew(now)

    @property
    def stall(self) -> Symptom | None:
        """What has lasted too long, if something has."""
        return self._oldest if self._lasts_s >= self._stall_s else None

    def rebuild(self, stall: Symptom) -> None:
        """Allow a rebuild. Raises ``ConsumerStalled`` if the one before has not helped."""
        if self._was_rebuilt:
            raise ConsumerStalled(stall.name)
        self._was_rebuilt = True

    def _begin_anew(self, now: float) -> None:
        self._well_since = now
        self._since = dict.fromkeys(self._since, now)

    @property
    def _oldest(self) -> Symptom | None:
        return min(self._since, key=self._since.__getitem__, default=None)

    @property
    def _lasts_s(self) -> float:
        return self._stopwatch() - min(self._since.values(), default=self._stopwatch())


async def until_stalled(
    watchdog: Watchdog, vitals: Callable[[], Vitals], answers: Callable[[], Awaitable[bool]], every_s: float
) -> Symptom:
    """Look every ``every_s`` until there is a stall, and return what it is. ``answers`` asks Kafka itself."""
    while True:
        await asyncio.sleep(every_s)
        watchdog.look(vitals())
        if watchdog.wants_check:
            watchdog.checked(await answers())
            watchdog.look(vitals())
        if watchdog.stall is not None:
            return watchdog.stall
