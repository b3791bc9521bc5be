"""What a trace reads of records that others wrote."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from utils.kafka.search import _read, _trace_event

NOW = datetime(2026, 11, 27, 16, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1_000)
PARTITION = TopicPartition("in", 0)
NO_TIMES = [-1, NOW_MS * 1_000, 2**63 - 1]


def record(offset: int, timestamp: int, *headers: tuple[str, bytes | None]) -> Any:
    """Return a record of the sign-in."""
    return ConsumerRecord("in", 0, offset, timestamp, 0, b"key", b"{}", None, 3, 2, headers)


class Consumer:
    """Gives one batch after the other."""

    def __init__(self, *batches: list[Any]) -> None:
        self._batches = [*batches]

    async def getmany(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        """Return the next batch."""
        return {PARTITION: self._batches.pop(0)} if self._batches else {}

    def pause(self, *partitions: TopicPartition) -> None:
        """Do nothing: ``_read`` has what it needs."""


def test_a_header_may_be_null() -> None:
    """Kafka allows that, and any client can write it."""
    event = _trace_event(record(1, NOW_MS, ("ce_type", None), ("ce_id", b"e1")), NOW)

    assert (event.at, event.what) == (NOW, "record on in")
    assert event.details == {"partition": 0, "offset": 1, "event_id": "e1"}


@pytest.mark.parametrize("timestamp", NO_TIMES)
def test_a_record_without_a_time_stands_at_the_end(timestamp: int) -> None:
    """The step says what its timestamp is: an emitter may count in microseconds."""
    event = _trace_event(record(1, timestamp), NOW)

    assert event.at == NOW
    assert event.details["timestamp_ms"] == timestamp


@pytest.mark.parametrize("timestamp", NO_TIMES)
async def test_a_record_without_a_time_does_not_end_the_search(timestamp: int) -> None:
    """It says nothing about those behind it."""
    consumer = Consumer([record(0, timestamp)], [record(1, NOW_MS)])

    found = await _read(consumer, {PARTITION: 2}, b"key", NOW + timedelta(minutes=5))

    assert [event.details["offset"] for event in found] == [0, 1]
