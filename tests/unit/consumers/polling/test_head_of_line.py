"""A record that holds its partition back: when it is told, and what of it."""

import logging

import pytest

from consumers.polling.head_of_line import HeadOfLine, BlockedPartition
from consumers.ports import Partition

A, B = Partition("a", 0), Partition("b", 3)


class Bench:
    """A look-out with a clock set by hand, and what it wrote."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.now = 1000.0
        self.asked: list[tuple[Partition, int]] = []
        self._caplog = caplog
        self._head_of_line = HeadOfLine(60, lambda: self.now)

    def look(self, *held: BlockedPartition) -> list[logging.LogRecord]:
        """Look at these; return what was written."""
        self._caplog.clear()
        self._head_of_line.check(held, self._reason)
        return list(self._caplog.records)

    def _reason(self, partition: Partition, offset: int) -> str:
        self.asked.append((partition, offset))
        return "throttled"


@pytest.fixture
def bench(caplog: pytest.LogCaptureFixture) -> Bench:
    """Return a bench."""
    return Bench(caplog)


def test_it_is_told_once_and_then_seldom(bench: Bench) -> None:
    """After a minute, and after that every ten."""
    told_at = []
    for _ in range(1300):
        if bench.look(BlockedPartition(A, 5, 1000.0, 0.0, 0)):
            told_at.append(bench.now - 1000)
        bench.now += 1
    assert told_at == [60, 660, 1260]


def test_it_is_told_where_how_long_and_why(bench: Bench) -> None:
    """The time in work and the record's own age are two things. Nothing else of the record is told."""
    bench.now = 1075.0
    [line] = bench.look(BlockedPartition(B, 9, 1000.0, 4000.0, 17))

    assert (line.levelname, line.getMessage()) == ("WARNING", "a record holds its partition back")

    told = {
        name: vars(line)[name] for name in ("topic", "partition", "offset", "in_work_s", "age_s", "behind", "reason")
    }

    assert told == {
        "topic": "b",
        "partition": 3,
        "offset": 9,
        "in_work_s": 75.0,
        "age_s": 4000.0,
        "behind": 17,
        "reason": "throttled",
    }


def test_each_record_has_its_own_time(bench: Bench) -> None:
    """The next one at the head is not late because the one before was. Only for late ones a reason is looked up."""
    bench.now = 1060.0
    assert len(bench.look(BlockedPartition(A, 5, 1000.0, 0, 0), BlockedPartition(B, 5, 1050.0, 0, 0))) == 1
    assert bench.asked == [(A, 5)]

    bench.now = 1061.0

    assert not bench.look(BlockedPartition(A, 6, 1002.0, 0, 0), BlockedPartition(B, 5, 1050.0, 0, 0))

    bench.now = 1062.0

    assert len(bench.look(BlockedPartition(A, 6, 1002.0, 0, 0))) == 1
    assert not bench.look()
