"""Commits, and positions as the metrics show them."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from consumers.polling.assignment import Assignment
from consumers.polling.committing import Committer
from consumers.polling.head_of_line import BlockedPartition
from consumers.ports import Partition, PartitionPosition, Record
from consumers.polling.positions import Positions
from tests.fakes.record_source import FakeBroker, FakeRecordSource
from tests.fakes.waiting import until

A, B = Partition("a", 0), Partition("b", 1)


class Bench:
    """A committer on a broker, with a stopwatch set by hand."""

    def __init__(self, timeout_s: float = 5.0) -> None:
        self.now = 0.0
        self.broker = FakeBroker()
        self.source = FakeRecordSource(self.broker)
        self.committer = Committer(self.source, 1.0, timeout_s, lambda: self.now)


async def test_commits_are_explicit_and_at_most_one_a_second() -> None:
    """Only what is new is sent; nothing new sends nothing."""
    bench = Bench()
    bench.committer.start_if_due({A: 1, B: 2})
    await until(lambda: bench.broker.commits == [{A: 1, B: 2}])
    bench.committer.start_if_due({A: 1, B: 3})
    bench.now = 1.0
    await until(lambda: bench.committer.is_due)
    bench.committer.start_if_due({A: 1, B: 2})
    bench.committer.start_if_due({A: 1, B: 4})
    await until(lambda: len(bench.broker.commits) == 2)

    assert bench.broker.commits[1] == {B: 4}
    assert bench.committer.committed == {A: 1, B: 4}


async def test_one_is_under_way_at_a_time_and_not_for_ever() -> None:
    """A commit that hangs is given up; the next sends what is newest then."""
    bench = Bench(timeout_s=0.01)
    bench.source.hang = {"commit"}
    bench.committer.start_if_due({A: 1})
    bench.now = 10.0
    bench.committer.start_if_due({A: 2})

    assert not bench.committer.is_due

    await until(lambda: bench.committer.is_due)

    assert bench.committer.committed == {}

    bench.source.hang = set()
    bench.committer.start_if_due({A: 3})
    await until(lambda: bench.committer.committed == {A: 3})

    assert bench.broker.commits == [{A: 3}]


async def test_a_failed_commit_is_made_again() -> None:
    """With the next one that is due."""
    bench = Bench()
    bench.broker.down = True
    bench.committer.start_if_due({A: 1})
    bench.now = 1.0
    await until(lambda: bench.committer.is_due)
    bench.broker.down = False
    bench.committer.start_if_due({A: 1})
    await until(lambda: bench.broker.committed == {A: 1})


async def test_the_last_commit_overtakes_the_one_under_way() -> None:
    """That one is cancelled, so that it can't land later."""
    bench = Bench(timeout_s=1000)
    bench.source.hang = {"commit"}
    bench.committer.start_if_due({A: 1})
    await asyncio.sleep(0)
    bench.source.hang = set()
    await asyncio.wait_for(bench.committer.finish({A: 2}), 5)
    bench.source.released.set()
    for _ in range(10):
        await asyncio.sleep(0)

    assert bench.broker.commits == [{A: 2}]
    assert bench.committer.committed == {}

    await bench.committer.finish({})

    assert len(bench.broker.commits) == 1


async def test_positions_tell_lag_and_age() -> None:
    """Lag counts from the watermark; the age is the record's own; in work counts from when it was begun here."""
    now = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    broker = FakeBroker()
    assignment = Assignment(lambda: 100.0, lambda: now)
    committer = Committer(FakeRecordSource(broker))
    source = FakeRecordSource(broker)
    positions = Positions(source, assignment, committer.committed, lambda: now, lambda: 107.5)
    assignment.begin([A, B])
    broker.mark(A, 10)
    stamp = int(now.timestamp() * 1000) - 5000

    assert assignment.track(Record("a", 0, 4, None, b"", timestamp_ms=stamp))
    assert assignment.track(Record("a", 0, 5, None, b""))

    await positions.refresh(5)

    assert positions.all() == [
        PartitionPosition(A, 10, 4, None, 5.0, position=6, head_of_line_s=7.5),
        PartitionPosition(B, 0, None, None, 0.0),
    ]
    assert [position.lag for position in positions.all()] == [6, None]
    assert list(positions.blocked()) == [BlockedPartition(A, 4, 100.0, 5.0, behind=1)]


async def test_unknown_ends_leave_the_rest_known() -> None:
    """Kafka away, or without an answer: what was known before stays, and no answer is counted."""
    broker, assignment = FakeBroker(), Assignment()
    source = FakeRecordSource(broker)
    positions = Positions(source, assignment, {})
    assignment.begin([A])
    broker.mark(A, 10)
    await positions.refresh(5)

    assert (positions.all()[0].end, positions.answers) == (10, 1)

    broker.down = True
    broker.mark(A, 10)
    await positions.refresh(5)
    source.hang = {"end_offsets"}
    await positions.refresh(0.001)

    assert (positions.all()[0].end, positions.answers) == (10, 1)

    positions.close()


async def test_a_slow_answer_is_taken_when_it_comes() -> None:
    """Nobody waits for it longer than told, and it is not asked for twice meanwhile."""
    broker, assignment = FakeBroker(), Assignment()
    source = SlowSource(broker)
    positions = Positions(source, assignment, {})
    assignment.begin([A])
    broker.mark(A, 10)
    await positions.refresh(0.001)
    await positions.refresh(0.001)

    assert (positions.all()[0].end, source.asked) == (None, 1)

    source.gate.set()
    await positions.refresh(5)

    assert (positions.all()[0].end, positions.answers) == (10, 1)


class SlowSource(FakeRecordSource):
    """A source that tells the ends only once ``gate`` is set."""

    def __init__(self, broker: FakeBroker) -> None:
        super().__init__(broker)
        self.gate = asyncio.Event()
        self.asked = 0

    async def end_offsets(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Return the ends, in a while."""
        self.asked += 1
        await self.gate.wait()
        return await super().end_offsets(partitions)
