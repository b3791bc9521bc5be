"""Commits of watermarks: seldom, one at a time, never for long."""

import asyncio
import logging
import time
from collections.abc import Mapping

from consumers.ports import KafkaUnavailable, Partition, RecordSource, Stopwatch

logger = logging.getLogger(__name__)


class Committer:
    """At most one commit per ``interval_s`` and one under way, each given up after ``timeout_s``."""

    def __init__(
        self,
        source: RecordSource,
        interval_s: float = 1.0,
        timeout_s: float = 5.0,
        stopwatch: Stopwatch = time.monotonic,
    ) -> None:
        self._source = source
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._stopwatch = stopwatch
        self._not_before = stopwatch()
        self._under_way: asyncio.Task[None] | None = None
        self._committed: dict[Partition, int] = {}

    @property
    def committed(self) -> Mapping[Partition, int]:
        """What Kafka acknowledged in this assignment."""
        return self._committed

    @property
    def is_due(self) -> bool:
        """Whether a commit may begin."""
        idle = self._under_way is None or self._under_way.done()
        return idle and self._stopwatch() >= self._not_before

    def begin(self, watermarks: Mapping[Partition, int]) -> None:
        """Begin a commit of what is new, if one is due. Returns at once."""
        fresh = self._fresh(watermarks)
        if fresh and self.is_due:
            self._not_before = self._stopwatch() + self._interval_s
            self._under_way = asyncio.create_task(self._commit(fresh))

    async def finish(self, watermarks: Mapping[Partition, int]) -> None:
        """Commit what is new for the last time in this assignment, and forget the assignment."""
        if self._under_way is not None:
            # Left alone it could land after the one below, or after the rebalance.
            self._under_way.cancel()
            await asyncio.gather(self._under_way, return_exceptions=True)
            self._under_way = None
        fresh = self._fresh(watermarks)
        if fresh:
            await self._commit(fresh)
        self._committed.clear()

    def _fresh(self, watermarks: Mapping[Partition, int]) -> dict[Partition, int]:
        return {place: mark for place, mark in watermarks.items() if self._committed.get(place) != mark}

    async def _commit(self, offsets: dict[Partition, int]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._source.commit(offsets)
        except (KafkaUnavailable, TimeoutError) as error:
            logger.warning("offsets could not be committed", extra={"error": type(error).__name__})
        else:
            self._committed.update(offsets)
