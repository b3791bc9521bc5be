"""How old the first record is of a partition where nothing is in work."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from consumers.ports import KafkaUnavailable, Partition, RecordSource, Stopwatch

logger = logging.getLogger(__name__)

_ASK_EVERY_S: Final = 3.0


class _Asked(NamedTuple):
    """The record at a watermark, when it was asked for, and its time."""

    watermark: int
    at: float
    timestamp_s: float | None


class FirstUnread:
    """Asks Kafka for the time of the first unread record: at most once in 3 s for each partition.

    That is a request of its own: the partition may be paused, or its consumer stuck.
    """

    def __init__(self, source: RecordSource, stopwatch: Stopwatch = time.monotonic) -> None:
        self._source = source
        self._stopwatch = stopwatch
        self._asked: dict[Partition, _Asked] = {}

    async def refresh(self, watermarks: Mapping[Partition, int]) -> None:
        """Ask for the records at these watermarks, and forget those of other partitions."""
        for partition in self._asked.keys() - watermarks.keys():
            self._asked[partition] = self._asked[partition]._replace(timestamp_s=None)

        due = [(partition, mark) for partition, mark in watermarks.items() if self._is_due(partition, mark)]
        await asyncio.gather(*(self._ask(partition, mark) for partition, mark in due))

    def timestamp_s(self, partition: Partition) -> float | None:
        """Return the time of the record at the watermark, or of one that was there less than 3 s ago."""
        asked = self._asked.get(partition)
        return None if asked is None else asked.timestamp_s

    def _is_due(self, partition: Partition, watermark: int) -> bool:
        asked = self._asked.get(partition)
        if asked is None:
            return True

        is_known = asked.watermark == watermark and asked.timestamp_s is not None
        return not is_known and self._stopwatch() - asked.at >= _ASK_EVERY_S

    async def _ask(self, partition: Partition, watermark: int) -> None:
        at = self._stopwatch()
        try:
            timestamp_s = await self._source.first_timestamp_s(partition, watermark)
        except KafkaUnavailable:
            logger.debug("the age of the first unread record is unknown")
            timestamp_s = None

        self._asked[partition] = _Asked(watermark, at, timestamp_s)
