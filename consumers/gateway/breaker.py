"""A circuit breaker: while Temporal is away, all calls wait but one, which probes now and then."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from consumers.outcomes import Misconfigured, NotNow, Unreachable
from consumers.ports import Sleep

logger = logging.getLogger(__name__)


class Breaker:
    """Opens after ``threshold`` unreachable answers in a row, or one that is misconfigured.

    Any other answer closes it. While it is open, one call at a time probes, after
    ``probe_after_s``, which doubles up to ``longest_probe_s``. A misconfigured Temporal
    is probed every ``longest_probe_s`` only.
    """

    def __init__(
        self,
        threshold: int = 5,
        probe_after_s: float = 0.5,
        longest_probe_s: float = 15.0,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._threshold = threshold
        self._probe_after_s = probe_after_s
        self._longest_probe_s = longest_probe_s
        self._sleep = sleep
        self._wait_s = probe_after_s
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
        """Whether nothing new may be read: it is open, and there is a call to probe with.

        A rebalance drops all calls. If intake stayed stopped then, there would never be
        another probe.
        """
        return self.is_open and self._probe.locked()

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Wait until a call may be made.

        What the block returns or raises moves the breaker.
        """
        while self.is_open:
            async with self._probe:
                await self._sleep_unless_closed()
                if self.is_open:
                    async with self._watched():
                        yield
                    return

        async with self._watched():
            yield

    async def _sleep_unless_closed(self) -> None:
        """Sleep until the next probe is due, or until a call from before the breaker opened gets its answer."""
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

        self._answered()

    def _answered(self) -> None:
        self._failures = 0
        self._wait_s = self._probe_after_s

        if self.is_open:
            logger.warning("Temporal answers again: consumption resumes")
            self._closed.set()

    def _failed(self, error: Unreachable | Misconfigured) -> None:
        self._failures += 1
        is_misconfigured = isinstance(error, Misconfigured)

        if is_misconfigured:
            self._wait_s = self._longest_probe_s
        elif self.is_open:
            self._wait_s = min(self._wait_s * 2, self._longest_probe_s)

        if not self.is_open and (is_misconfigured or self._failures >= self._threshold):
            level = logging.ERROR if is_misconfigured else logging.WARNING
            logger.log(
                level,
                "no usable answer from Temporal: consumption stops",
                extra={"reason": str(error)},
            )
            self._closed.clear()
