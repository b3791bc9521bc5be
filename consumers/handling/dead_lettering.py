"""Where records go that can never be applied (CONTRACT: dead letters)."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from consumers.dead_letters.headers import dead_letter_headers
from consumers.handling.dispatch import Handler
from consumers.handling.retrying import Backoff
from consumers.intake import Delivery
from consumers.outcomes import Outcome, Rejected
from consumers.ports import Clock, DeadLetterWriter, KafkaUnavailable, Sleep, Stopwatch, utc_now
from schemas.topics import dead_letter_topic

logger = logging.getLogger(__name__)

_MINUTE_S: Final = 60.0


class DeadLetterBreaker:
    """A breaker: more than ``per_minute`` dead letters in a minute stop consumption until ``resume``. 0: never."""

    def __init__(self, per_minute: int = 10_000, stopwatch: Stopwatch = time.monotonic) -> None:
        self._per_minute = per_minute
        self._stopwatch = stopwatch
        self._times: deque[float] = deque()
        self._closed = asyncio.Event()
        self._closed.set()

    @property
    def is_open(self) -> bool:
        """Whether consumption stands still."""
        return not self._closed.is_set()

    @property
    def stops_intake(self) -> bool:
        """Whether nothing new may be read: as long as it is open."""
        return self.is_open

    def resume(self) -> bool:
        """Go on: an operator says so. Counting starts anew. Return whether consumption stood still."""
        stood_still = self.is_open
        self._times.clear()
        self._closed.set()
        return stood_still

    async def admit(self) -> None:
        """Count one dead letter that is about to be written; return when it may be, maybe only after ``resume``."""
        while not self._counted():
            await self._closed.wait()

    def _counted(self) -> bool:
        now = self._stopwatch()
        while self._times and self._times[0] <= now - _MINUTE_S:
            self._times.popleft()
        if not self.is_open and self._per_minute and len(self._times) >= self._per_minute:
            logger.error("too many dead letters in a minute: consumption stops", extra={"limit": self._per_minute})
            self._closed.clear()
        if not self.is_open and self._per_minute:
            self._times.append(now)
        return not self.is_open


class DeadLettering:
    """A handler around a handler: a rejected record is in its dead-letter topic before its outcome is returned."""

    def __init__(
        self,
        handler: Handler,
        writer: DeadLetterWriter,
        rate: DeadLetterBreaker,
        group: str,
        clock: Clock = utc_now,
        backoff: Callable[[], Backoff] = Backoff,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._handler = handler
        self._writer = writer
        self._rate = rate
        self._group = group
        self._clock = clock
        self._backoff = backoff
        self._sleep = sleep

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Return the handler's outcome. While Kafka does not take a dead letter, it tries again."""
        outcome = await self._handler(delivery)
        if isinstance(outcome, Rejected):
            delivery.postponed = "too_many_dead_letters"  # read only if it lasts
            await self._rate.admit()
            await self._write(delivery, outcome)
        return outcome

    async def _write(self, delivery: Delivery, rejected: Rejected) -> None:
        record = delivery.record
        topic = dead_letter_topic(record.topic)
        headers = dead_letter_headers(record, rejected, self._group, self._clock())
        where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        waits = self._backoff().waits()
        while True:
            try:
                await self._writer.write(topic, record.key, record.value, headers)
            except KafkaUnavailable:
                delivery.postponed = "dead_letter_not_written"
                logger.warning("a dead letter could not be written: its offset stays open", extra=where)
                await self._sleep(next(waits))
            else:
                return
