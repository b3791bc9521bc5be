"""Stops all calls while Temporal is away, and lets one through now and then to see."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from consumers.outcomes import Misconfigured, NotNow, Unreachable
from consumers.ports import Sleep

logger = logging.getLogger(__name__)


class Breaker:
    """Opens after ``threshold`` unreachable answers in a row, at once when misconfigured; closes on any answer.

    While it is open one call at a time is let through, after ``probe_after_s``, doubled up to ``longest_probe_s``.
    A misconfigured Temporal is probed every ``longest_probe_s`` only.
    """

    def __init__(
        self,
        threshold: int = 5,
        probe_after_s: float = 0.5,
        longest_probe_s: float = 15.0,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._threshold = threshold
        self._first_wait_s = self._wait_s = probe_after_s
        self._longest_wait_s = longest_probe_s
        self._sleep = sleep
        self._failures = 0
        self._probe = asyncio.Lock()
        self._closed = asyncio.Event()
        self._closed.set()

    @property
    def is_open(self) -> bool:
        """Whether calls wait."""
        return not self._closed.is_set()

    @property
    def stops_intake(self) -> bool:
        """Whether it is open with a call at hand to probe with.

        A rebalance drops all calls: were intake stopped then too, there would never be a probe again.
        """
        return self.is_open and self._probe.locked()

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Wait until a call may be made; its answer, raised or not, moves the breaker."""
        while self.is_open:
            async with self._probe:
                await self._sleep_or_closed()
                if self.is_open:
                    async with self._watched():
                        yield
                    return
        async with self._watched():
            yield

    async def _sleep_or_closed(self) -> None:
        """Sleep, unless it closes: a call that was under way when the breaker opened may have an answer yet."""
        nap = asyncio.ensure_future(self._sleep(self._wait_s))
        closing = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait({nap, closing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            nap.cancel()
            closing.cancel()

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        try:
            yield
        except (Unreachable, Misconfigured) as error:
            self._failed(error)
            raise
        except NotNow:
            self._answered()
            raise
        else:
            self._answered()

    def _answered(self) -> None:
        self._failures = 0
        self._wait_s = self._first_wait_s
        if self.is_open:
            logger.warning("Temporal answers again: consumption goes on")
            self._closed.set()

    def _failed(self, error: NotNow) -> None:
        self._failures += 1
        if isinstance(error, Misconfigured):
            self._wait_s = self._longest_wait_s
        elif self.is_open:
            self._wait_s = min(self._wait_s * 2, self._longest_wait_s)
        if not self.is_open and (isinstance(error, Misconfigured) or self._failures >= self._threshold):
            self._closed.clear()
            level = logging.ERROR if isinstance(error, Misconfigured) else logging.WARNING
            logger.log(level, "no usable answer from Temporal: consumption stops", extra={"reason": str(error)})
