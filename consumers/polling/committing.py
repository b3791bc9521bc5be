"""Commits watermarks: rarely, one commit at a time, each with a timeout."""

import asyncio
import logging
import time
from collections.abc import Mapping

from consumers.ports import KafkaUnavailable, Partition, RecordSource, Stopwatch

logger = logging.getLogger(__name__)


class Committer:
    """Makes at most one commit per ``interval_s`` and one at a time, and gives each up after ``timeout_s``."""

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
        self._running: asyncio.Task[None] | None = None
        self._committed: dict[Partition, int] = {}

    @property
    def committed(self) -> Mapping[Partition, int]:
        """The offsets that Kafka acknowledged in this assignment."""
        return self._committed

    @property
    def is_due(self) -> bool:
        """Whether a commit may start."""
        idle = self._running is None or self._running.done()
        return idle and self._stopwatch() >= self._not_before

    def start_if_due(self, watermarks: Mapping[Partition, int]) -> None:
        """Start to commit the watermarks that changed, if a commit is due. Returns at once."""
        changed = self._changed(watermarks)
        if changed and self.is_due:
            self._not_before = self._stopwatch() + self._interval_s
            self._running = asyncio.create_task(self._commit(changed))

    def forget(self, partition: Partition) -> None:
        """Forget what was committed of a partition: it was of another log."""
        self._committed.pop(partition, None)

    async def finish(self, watermarks: Mapping[Partition, int]) -> None:
        """Make the last commit of this assignment, then forget the assignment."""
        if self._running is not None:
            # Left running, it could land after the commit below, or after the rebalance.
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

        changed = self._changed(watermarks)
        if changed:
            await self._commit(changed)

        self._committed.clear()

    def _changed(self, watermarks: Mapping[Partition, int]) -> dict[Partition, int]:
        marks = watermarks.items()
        return {partition: mark for partition, mark in marks if self._committed.get(partition) != mark}

    async def _commit(self, offsets: dict[Partition, int]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._source.commit(offsets)
        except (KafkaUnavailable, TimeoutError) as error:
            logger.warning("offsets could not be committed", extra={"error": type(error).__name__})
        else:
            self._committed.update(offsets)
