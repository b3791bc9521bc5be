"""Joins the consumer group and leaves it, each within a time limit."""

import asyncio
import logging
from typing import Final

from consumers.polling.racing import finishes_before, happens_within
from consumers.ports import AssignmentListener, KafkaUnavailable, RecordSource

logger = logging.getLogger(__name__)

_MAX_WAIT_S: Final = 10.0


class Membership:
    """The membership in the consumer group. ``attempts`` counts the attempts to join."""

    def __init__(self, source: RecordSource, retry_s: float, stop_s: float) -> None:
        self.attempts = 0
        self._source = source
        self._retry_s = retry_s
        self._stop_s = stop_s
        self._left_behind: set[asyncio.Task[None]] = set()

    async def join(self, listener: AssignmentListener, over: asyncio.Event) -> bool:
        """Join, and retry while Kafka is away. Return False if ``over`` happens first."""
        wait_s = self._retry_s

        while not over.is_set():
            try:
                return await self._try_to_join(listener, over)
            except KafkaUnavailable as error:
                logger.warning("waiting for Kafka", extra={"reason": str(error)})
                await happens_within(over, wait_s)
                wait_s = min(wait_s * 2, _MAX_WAIT_S)

        return False

    async def leave(self) -> None:
        """Leave the group."""
        await self._wait_for_end(asyncio.create_task(self._source.stop()))

    async def _try_to_join(self, listener: AssignmentListener, over: asyncio.Event) -> bool:
        self.attempts += 1
        starting = asyncio.create_task(self._source.start(listener))
        if await finishes_before(starting, over):
            starting.result()
            return True

        starting.cancel()
        await self._wait_for_end(starting)

        return False

    async def _wait_for_end(self, ending: asyncio.Task[None]) -> None:
        """Wait for the end of a consumer, but no longer than ``stop_s``: what is left of it ends by itself."""
        self._left_behind.add(ending)
        ending.add_done_callback(self._left_behind.discard)
        done, _ = await asyncio.wait({ending}, timeout=self._stop_s)

        try:
            if done and not ending.cancelled():
                return ending.result()
        except KafkaUnavailable:
            pass

        logger.warning("Kafka did not confirm that the consumer left its group")
