"""When a record that holds its partition back is logged, and with which fields."""

import logging

import pytest

from consumers.polling.head_of_line import BlockedPartition, HeadOfLine
from consumers.ports import Partition

A = Partition("a", 0)
B = Partition("b", 3)
LOGGED_FIELDS = ("topic", "partition", "offset", "in_work_s", "age_s", "behind", "reason")


class Bench:
    """The log, with a stopwatch set by hand. ``asked``: the records whose reason was asked for."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.now = 1000.0
        self.asked: list[tuple[Partition, int]] = []
        self._caplog = caplog
        self._head_of_line = HeadOfLine(60, lambda: self.now)

    def check(self, *blocked: BlockedPartition) -> list[logging.LogRecord]:
        """Check these partitions, and return the lines that were logged."""
        self._caplog.clear()
        self._head_of_line.check(blocked, self._reason)
        return list(self._caplog.records)

    def _reason(self, partition: Partition, offset: int) -> str:
        self.asked.append((partition, offset))
        return "throttled"


@pytest.fixture
def bench(caplog: pytest.LogCaptureFixture) -> Bench:
    """Return a bench."""
    return Bench(caplog)


def test_a_blocked_partition_is_logged_after_a_minute_and_then_every_ten(bench: Bench) -> None:
    """The record stays the same for more than twenty minutes."""
    logged_at = []
    for _ in range(1300):
        if bench.check(BlockedPartition(A, 5, 1000.0, 0.0, 0)):
            logged_at.append(bench.now - 1000)
        bench.now += 1

    assert logged_at == [60, 660, 1260]


def test_the_line_says_where_how_long_and_why(bench: Bench) -> None:
    """The time in work and the record's age are separate fields. Nothing of the record's content is logged."""
    bench.now = 1075.0
    [line] = bench.check(BlockedPartition(B, 9, 1000.0, 4000.0, 17))
    fields = {name: vars(line)[name] for name in LOGGED_FIELDS}

    assert (line.levelname, line.getMessage()) == ("WARNING", "a record holds its partition back")
    assert fields == {
        "topic": "b",
        "partition": 3,
        "offset": 9,
        "in_work_s": 75.0,
        "age_s": 4000.0,
        "behind": 17,
        "reason": "throttled",
    }


def test_each_record_has_its_own_time(bench: Bench) -> None:
    """The next head of line starts anew. A reason is looked up only for records that are logged."""
    bench.now = 1060.0
    late = BlockedPartition(A, 5, 1000.0, 0, 0)
    recent = BlockedPartition(B, 5, 1050.0, 0, 0)

    assert len(bench.check(late, recent)) == 1
    assert bench.asked == [(A, 5)]

    bench.now = 1061.0
    next_head = BlockedPartition(A, 6, 1002.0, 0, 0)

    assert not bench.check(next_head, recent)

    bench.now = 1062.0

    assert len(bench.check(next_head)) == 1
    assert not bench.check()
