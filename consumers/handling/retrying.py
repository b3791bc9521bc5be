"""Retry a delivery for as long as it takes.

Waits grow, and no two records wait equally long.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from consumers.handling.dispatch import Handler
from consumers.intake import Delivery
from consumers.outcomes import NotNow, Outcome
from consumers.metrics import ConsumerMetrics
from consumers.ports import Sleep

logger = logging.getLogger(__name__)

_TRIES_BEFORE_LOG: Final = 8


@dataclass(frozen=True)
class Backoff:
    """Exponential backoff with jitter: each wait doubles, up to ``longest_s``, and loses up to half at random."""

    first_s: float = 0.1
    longest_s: float = 10.0
    draw: Callable[[], float] = field(default=random.random, repr=False)

    def waits(self) -> Iterator[float]:
        """Yield waits in seconds, without end."""
        wait_s = self.first_s
        while True:
            yield wait_s * (0.5 + 0.5 * self.draw())
            wait_s = min(wait_s * 2, self.longest_s)


class Retrying:
    """Retries: a handler around a handler.

    ``NotNow`` never leaves it: it retries until there is an outcome, or is cancelled.
    """

    def __init__(
        self,
        handler: Handler,
        metrics: ConsumerMetrics,
        backoff: Backoff = Backoff(),
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._handler = handler
        self._metrics = metrics
        self._backoff = backoff
        self._sleep = sleep

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Return the outcome of the first try that has one."""
        waits = self._backoff.waits()
        tries = 0

        while True:
            try:
                return await self._handler(delivery)
            except NotNow as error:
                tries += 1
                self._postpone(delivery, error, tries)
                await self._sleep(max(next(waits), error.min_wait_s))

    def _postpone(self, delivery: Delivery, error: NotNow, tries: int) -> None:
        delivery.postponed = error.name
        delivery.tries = tries + 1
        self._metrics.call_postponed(error.name)

        if tries == _TRIES_BEFORE_LOG:
            fields = delivery.record.log_fields | {"reason": error.name, "tries": tries}
            logger.warning("a record is still not applied", extra=fields)
