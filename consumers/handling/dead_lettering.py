"""Records that can never be applied go to their dead-letter topics (CONTRACT: dead letters)."""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from consumers.dead_letters.headers import dead_letter_headers, digest_headers, only_dlt_headers
from consumers.handling.dispatch import Handler
from consumers.handling.retrying import Backoff
from consumers.intake import Delivery
from consumers.outcomes import Outcome, Rejected
from consumers.ports import (
    Clock,
    DeadLetterWriter,
    Headers,
    KafkaUnavailable,
    Record,
    RecordRefused,
    Sleep,
    Stopwatch,
)
from consumers.ports import utc_now
from schemas.topics import dead_letter_topic

logger = logging.getLogger(__name__)

_MINUTE_S: Final = 60.0


@dataclass(frozen=True)
class DeadLetterLimits:
    """More than ``per_minute`` dead letters in a minute are too many; 0 allows any number, and any share.

    So is a ``share`` of a topic's records, once they are ``share_floor`` in a minute; 0 allows any share.
    """

    per_minute: int = 10_000
    share: float = 0.9
    share_floor: int = 500


class DeadLetterBreaker:
    """Stops consumption at too many dead letters in a minute.

    It stays open until ``resume``.
    """

    def __init__(self, limits: DeadLetterLimits | None = None, stopwatch: Stopwatch = time.monotonic) -> None:
        self._limits = limits or DeadLetterLimits()
        self._stopwatch = stopwatch
        self._counted_at: deque[float] = deque()
        self._dead: dict[str, _LastMinute] = defaultdict(_LastMinute)
        self._all: dict[str, _LastMinute] = defaultdict(_LastMinute)
        self._closed = asyncio.Event()
        self._closed.set()

    @property
    def is_open(self) -> bool:
        """Whether dead letters wait for ``resume``."""
        return not self._closed.is_set()

    @property
    def stops_intake(self) -> bool:
        """Whether nothing new may be read, which is as long as it is open."""
        return self.is_open

    def resume(self) -> bool:
        """Close the breaker and count from zero; return whether it was open."""
        was_open = self.is_open
        self._counted_at.clear()
        self._dead.clear()
        self._all.clear()
        self._closed.set()
        return was_open

    def finished(self, topic: str) -> None:
        """Count a record of this topic that is no dead letter."""
        self._all[topic].add(self._stopwatch())

    async def wait_until_closed(self) -> None:
        """Wait for ``resume`` if the breaker is open."""
        await self._closed.wait()

    def admits(self, topic: str) -> bool:
        """Count one dead letter of this topic that is about to be written, and return true.

        Return false while the breaker is open, and open it at a limit.
        """
        if not self._limits.per_minute:
            return True
        if self.is_open:
            return False

        now = self._stopwatch()
        if reason := self._too_many(now) or self._too_large_a_share(topic, now):
            logger.error("too many dead letters in a minute: consumption stops", extra=reason)
            self._closed.clear()
            return False

        self._counted_at.append(now)
        self._dead[topic].add(now)
        self._all[topic].add(now)
        return True

    def _too_many(self, now: float) -> dict[str, object]:
        while self._counted_at and self._counted_at[0] <= now - _MINUTE_S:
            self._counted_at.popleft()

        limit = self._limits.per_minute
        return {"limit": limit} if len(self._counted_at) >= limit else {}

    def _too_large_a_share(self, topic: str, now: float) -> dict[str, object]:
        dead = self._dead[topic].count(now)
        if not self._limits.share or dead < self._limits.share_floor:
            return {}

        records = self._all[topic].count(now)
        is_too_large = dead >= self._limits.share * records
        return {"topic": topic, "dead_letters": dead, "records": records} if is_too_large else {}


class _LastMinute:
    """Counts what happened within the last minute, to the second."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, int]] = deque()
        self._total = 0

    def add(self, now: float) -> None:
        """Count one."""
        self._forget(now)
        second = int(now)
        counted = 0
        if self._seconds and self._seconds[-1][0] == second:
            counted = self._seconds.pop()[1]

        self._seconds.append((second, counted + 1))
        self._total += 1

    def count(self, now: float) -> int:
        """Return how many there were."""
        self._forget(now)
        return self._total

    def _forget(self, now: float) -> None:
        while self._seconds and self._seconds[0][0] <= now - _MINUTE_S:
            self._total -= self._seconds.popleft()[1]


class _Form(NamedTuple):
    """What can be written of a record."""

    key: bytes | None
    value: bytes | None
    headers: Headers


class DeadLettering:
    """Writes dead letters: a handler around a handler.

    It returns a rejection only once Kafka has the dead letter.
    """

    def __init__(
        self,
        handler: Handler,
        writer: DeadLetterWriter,
        breaker: DeadLetterBreaker,
        group: str,
        clock: Clock = utc_now,
        backoff: Backoff = Backoff(),
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._handler = handler
        self._writer = writer
        self._breaker = breaker
        self._group = group
        self._clock = clock
        self._backoff = backoff
        self._sleep = sleep

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Return the handler's outcome.

        While Kafka does not take a dead letter, try again.
        """
        outcome = await self._handler(delivery)

        if isinstance(outcome, Rejected):
            while not self._breaker.admits(delivery.record.topic):
                delivery.postponed = "too_many_dead_letters"
                await self._breaker.wait_until_closed()
            await self._write(delivery, outcome)
        else:
            self._breaker.finished(delivery.record.topic)

        return outcome

    async def _write(self, delivery: Delivery, rejected: Rejected) -> None:
        record = delivery.record
        headers = dead_letter_headers(record, rejected, self._group, self._clock())
        forms = deque(_forms(record, headers))

        for wait_s in self._backoff.waits():
            try:
                return await self._write_what_fits(record, forms)
            except KafkaUnavailable:
                delivery.postponed = "dead_letter_not_written"
                logger.warning(
                    "a dead letter could not be written: its offset stays open",
                    extra=record.log_fields,
                )
                await self._sleep(wait_s)

    async def _write_what_fits(self, record: Record, forms: deque[_Form]) -> None:
        """Write the first form that is not refused.

        Those that were are dropped: the next try must not repeat them, because a refusal by the brokers fails what
        waits on the same producer, such as the shorter form of another large letter.
        """
        topic = dead_letter_topic(record.topic)

        while len(forms) > 1:
            with contextlib.suppress(RecordRefused):
                return await self._writer.write(topic, *forms[0])

            forms.popleft()
            logger.error("a dead letter is too large: it is shortened", extra=record.log_fields)

        await self._writer.write(topic, *forms[0])


def _forms(record: Record, headers: Headers) -> Iterator[_Form]:
    """Yield the whole record, then without its value, then without its key and headers too."""
    shortened = [*headers, *digest_headers(record)]

    yield _Form(record.key, record.value, headers)
    yield _Form(record.key, None, shortened)
    yield _Form(None, None, only_dlt_headers(shortened))
