"""Tries again for as long as it takes. The wait between two tries grows and is never the same for two records."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from consumers.handling.dispatch import Handler
from consumers.intake import Delivery
from consumers.outcomes import NotNow, Outcome
from consumers.ports import ConsumerMetrics, Sleep

logger = logging.getLogger(__name__)

_TRIES_UNTIL_LOGGED: Final = 8


@dataclass(frozen=True)
class Backoff:
    """Exponential, with jitter: each wait is between half of and the whole of twice the one before."""

    first_s: float = 0.1
    longest_s: float = 10.0
    draw: Callable[[], float] = field(default=random.random, repr=False)

    def waits(self) -> Iterator[float]:
        """Yield waits in seconds, for ever."""
        wait_s = self.first_s
        while True:
            yield wait_s * (0.5 + 0.5 * self.draw())
            wait_s = min(wait_s * 2, self.longest_s)


class Retrying:
    """A handler around a handler: "not now" never leaves it, only a cancellation ends its patience."""

    def __init__(
        self,
        handler: Handler,
        metrics: ConsumerMetrics,
        backoff: Backoff | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._handler = handler
        self._metrics = metrics
        self._backoff = backoff or Backoff()
        self._sleep = sleep

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Return the outcome of the first try that has one."""
        waits, tries = self._backoff.waits(), 0
        while True:
            try:
                return await self._handler(delivery)
            except NotNow as error:
                tries += 1
                self._note(error, tries, delivery)
                await self._sleep(max(next(waits), error.min_wait_s))

    def _note(self, error: NotNow, tries: int, delivery: Delivery) -> None:
        delivery.postponed = error.name
        delivery.tries = tries + 1
        self._metrics.call_postponed(error.name)
        if tries == _TRIES_UNTIL_LOGGED:
            record = delivery.record
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            logger.warning("a record is still not applied", extra={**place, "reason": error.name, "tries": tries})
