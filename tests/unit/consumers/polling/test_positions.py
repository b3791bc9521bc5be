"""How far each partition is, as the metrics show it."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from consumers.polling.assignment import Assignment
from consumers.polling.committing import Committer
from consumers.polling.head_of_line import BlockedPartition
from consumers.polling.positions import Positions
from consumers.metrics import PartitionPosition
from consumers.ports import Partition, PartitionLog, Record
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

    async def logs(self, partitions: Collection[Partition]) -> Mapping[Partition, PartitionLog]:
        """Return the end offsets, once the gate is set."""
        self.calls += 1
        await self.gate.wait()
        return await super().logs(partitions)


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
        PartitionPosition(A, 10, 4, None, 5.0, position=6, head_of_line_s=7.5, stable_end=10),
        PartitionPosition(B, 0, None, None, None, stable_end=0),
    ]
    assert [position.lag for position in positions.all()] == [6, None]
    assert list(positions.blocked()) == [BlockedPartition(A, 4, 100.0, 5.0, behind=1)]


class Moving:
    """A clock, a stopwatch and a partition of which everything below offset 4 is done."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.broker = FakeBroker()
        self.source = FakeRecordSource(self.broker)
        self.assignment = Assignment()
        self.positions = Positions(
            self.source,
            self.assignment,
            {},
            lambda: datetime.fromtimestamp(self.now_s, UTC),
            lambda: self.now_s,
        )
        self.assignment.begin([A])
        self.assignment.trackers[A].skip_to(4)
        self.broker.use_offsets(A, 4)

    def append(self, age_s: float) -> None:
        """Append a record of this age."""
        self.broker.append(Record("a", 0, 0, None, b"", timestamp_ms=int((self.now_s - age_s) * 1000)))

    async def position_after(self, seconds: float) -> PartitionPosition:
        """Let time pass, ask Kafka, and return the position."""
        self.now_s += seconds
        await self.positions.refresh(5)
        return self.positions.all()[0]


async def test_an_unread_record_has_an_age() -> None:
    """Nobody has read it, and nothing is in work: its time is asked of Kafka, once. Without a backlog, age is 0."""
    moving = Moving()

    assert (await moving.position_after(0)).oldest_unfinished_age_s == 0

    moving.append(age_s=60)
    moving.append(age_s=0)

    assert (await moving.position_after(1)).oldest_unfinished_age_s == 61
    assert (await moving.position_after(10)).oldest_unfinished_age_s == 71
    assert moving.source.looks == [(A, 4)]


async def test_the_age_of_an_unread_record_is_asked_for_every_three_seconds_at_most() -> None:
    """Until then, the record that was first before is as good."""
    moving = Moving()
    moving.append(age_s=60)
    moving.append(age_s=30)
    await moving.position_after(0)
    moving.assignment.trackers[A].skip_to(5)

    assert (await moving.position_after(1)).oldest_unfinished_age_s == 61
    assert len(moving.source.looks) == 1
    assert (await moving.position_after(2)).oldest_unfinished_age_s == 33
    assert moving.source.looks == [(A, 4), (A, 5)]


async def test_an_open_transaction_counts_as_lag() -> None:
    """The time that it stands still is measured, and starts anew when the stable end moves."""
    moving = Moving()
    moving.append(age_s=0)
    moving.append(age_s=0)
    moving.broker.open_transactions[A] = 4
    first = await moving.position_after(0)
    later = await moving.position_after(10)

    assert (first.lag, first.open_transaction_s) == (2, 0)
    assert (later.lag, later.stable_end, later.open_transaction_s) == (2, 4, 10)
    assert later.oldest_unfinished_age_s == 10

    moving.broker.open_transactions[A] = 5

    assert (await moving.position_after(1)).open_transaction_s == 0

    moving.broker.commit_transaction(A)
    done = await moving.position_after(20)

    assert (done.lag, done.stable_end, done.open_transaction_s) == (3, 7, 0)


async def test_a_lag_that_nobody_can_know_is_not_shown() -> None:
    """After 15 s without an answer, lag and age are unknown instead of old."""
    moving = Moving()
    await moving.position_after(0)
    moving.broker.down = True

    assert (await moving.position_after(14)).lag == 0

    unknown = await moving.position_after(1)

    assert (unknown.lag, unknown.end, unknown.oldest_unfinished_age_s) == (None, None, None)


async def test_known_end_offsets_stay_while_kafka_does_not_answer() -> None:
    """A failed or missing answer changes nothing for a moment and is not counted."""
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
    source.hang = {"logs"}
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
