"""How far each partition is, as the metrics show it."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from consumers.polling.assignment import Assignment
from consumers.polling.committing import Committer
from consumers.polling.head_of_line import BlockedPartition
from consumers.polling.positions import Positions
from consumers.ports import Partition, PartitionPosition, Record
from tests.fakes.record_source import FakeBroker, FakeRecordSource

A = Partition("a", 0)
B = Partition("b", 1)
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class SlowSource(FakeRecordSource):
    """A source that returns end offsets only once ``gate`` is set."""

    def __init__(self, broker: FakeBroker) -> None:
        super().__init__(broker)
        self.gate = asyncio.Event()
        self.calls = 0

    async def end_offsets(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Return the end offsets, once the gate is set."""
        self.calls += 1
        await self.gate.wait()
        return await super().end_offsets(partitions)


async def test_positions_report_lag_and_age() -> None:
    """Lag counts from the watermark, age from the record's timestamp, time in work from its start here."""
    broker = FakeBroker()
    source = FakeRecordSource(broker)
    assignment = Assignment(lambda: 100.0, lambda: NOW)
    committer = Committer(source)
    positions = Positions(source, assignment, committer.committed, lambda: NOW, lambda: 107.5)
    assignment.begin([A, B])
    broker.use_offsets(A, 10)
    five_seconds_ago = int(NOW.timestamp() * 1000) - 5000

    assert assignment.track(Record("a", 0, 4, None, b"", timestamp_ms=five_seconds_ago))
    assert assignment.track(Record("a", 0, 5, None, b""))

    await positions.refresh(5)

    assert positions.all() == [
        PartitionPosition(A, 10, 4, None, 5.0, position=6, head_of_line_s=7.5),
        PartitionPosition(B, 0, None, None, 0.0),
    ]
    assert [position.lag for position in positions.all()] == [6, None]
    assert list(positions.blocked()) == [BlockedPartition(A, 4, 100.0, 5.0, behind=1)]


async def test_known_end_offsets_stay_while_kafka_does_not_answer() -> None:
    """A failed or missing answer changes nothing and is not counted."""
    broker = FakeBroker()
    source = FakeRecordSource(broker)
    assignment = Assignment()
    positions = Positions(source, assignment, {})
    assignment.begin([A])
    broker.use_offsets(A, 10)
    await positions.refresh(5)

    assert positions.all()[0].end == 10
    assert positions.answers == 1

    broker.down = True
    broker.use_offsets(A, 10)
    await positions.refresh(5)
    source.hang = {"end_offsets"}
    await positions.refresh(0.001)

    assert positions.all()[0].end == 10
    assert positions.answers == 1

    positions.close()


async def test_a_slow_answer_is_used_when_it_arrives() -> None:
    """``refresh`` does not wait longer than it may, and does not ask again meanwhile."""
    broker = FakeBroker()
    source = SlowSource(broker)
    assignment = Assignment()
    positions = Positions(source, assignment, {})
    assignment.begin([A])
    broker.use_offsets(A, 10)
    await positions.refresh(0.001)
    await positions.refresh(0.001)

    assert positions.all()[0].end is None
    assert source.calls == 1

    source.gate.set()
    await positions.refresh(5)

    assert positions.all()[0].end == 10
    assert positions.answers == 1
