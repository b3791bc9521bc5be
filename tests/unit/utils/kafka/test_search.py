"""What a trace reads of records that others wrote."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from utils.kafka.access import KafkaAccess
from utils.kafka.search import _read, _trace_event, find_records
from utils.kafka.topics import TopicState

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
        self.assigned: list[TopicPartition] = []

    async def start(self) -> None:
        """Connect."""

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Keep them."""
        self.assigned = partitions

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Do nothing: the batches are those to be read."""

    async def offsets_for_times(self, times: dict[TopicPartition, int]) -> dict[TopicPartition, Any]:
        """Return the beginning."""
        return dict.fromkeys(times, SimpleNamespace(offset=0))

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the end of one record."""
        return dict.fromkeys(partitions, 1)

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


async def test_topics_that_are_not_searched_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic whose settings may not be seen is searched; one that is missing is not."""
    consumer = Consumer([record(0, NOW_MS)])

    async def look_up(_access: KafkaAccess, _names: object) -> dict[str, TopicState]:
        return {"in": TopicState(1, None)}

    @asynccontextmanager
    async def temporary(_access: KafkaAccess) -> AsyncIterator[Consumer]:
        yield consumer

    monkeypatch.setattr("utils.kafka.search.look_up_topics", look_up)
    monkeypatch.setattr("utils.kafka.search.temporary_consumer", temporary)

    found = await find_records(KafkaAccess("k:9092"), ["in", "out"], "key", NOW, NOW)

    assert ([event.at for event in found.records], found.unseen) == ([NOW], ("out",))
