"""Logs that go backwards or are replaced under a running consumer: every record of the new log is handled."""

import logging
from dataclasses import replace

import pytest

from consumers.polling.assignment import Assignment
from consumers.polling.new_logs import NewLogs
from consumers.ports import PartitionLog, Record
from tests.fakes.consumer_bench import QUICK, REQUESTED_0, REQUESTED_1, Bench
from tests.fakes.inbound import REQUESTED, signin_id
from tests.fakes.waiting import until


def make_requests(bench: Bench, numbers: range) -> None:
    """Append one request for each number."""
    for number in numbers:
        bench.request(number)


def ids(numbers: range) -> list[str]:
    """Return the sign-ins of requests with these numbers."""
    return [signin_id(number) for number in numbers]


async def test_a_log_that_falls_is_read_from_its_beginning(caplog: pytest.LogCaptureFixture) -> None:
    """Each new record is applied once, the lower watermark is committed, and it is counted and logged as an error."""
    bench = Bench()
    make_requests(bench, range(5))
    async with bench.running(REQUESTED_0, REQUESTED_1):
        await until(lambda: bench.broker.committed.get(REQUESTED_0) == 5)
        bench.source.hang.add("logs")  # so nothing but the offsets tells
        bench.broker.replace_log(REQUESTED_0)
        make_requests(bench, range(10, 13))
        await until(lambda: bench.broker.committed.get(REQUESTED_0) == 3)

    assert bench.applied == ids(range(5)) + ids(range(10, 13))
    assert bench.metrics.replaced_logs == {REQUESTED: 1}

    [line] = [line for line in caplog.records if line.levelno >= logging.ERROR]

    assert line.getMessage() == "a log went backwards or was replaced: it is read from its beginning"


async def test_a_log_that_falls_empty_commits_its_beginning() -> None:
    """No record comes: the position alone tells."""
    bench = Bench()
    make_requests(bench, range(5))
    async with bench.running(REQUESTED_0):
        await until(lambda: bench.broker.committed.get(REQUESTED_0) == 5)
        bench.broker.replace_log(REQUESTED_0)
        await until(lambda: bench.broker.committed.get(REQUESTED_0) == 0)
        await until(lambda: bench.loop.positions()[0].lag == 0)

    assert bench.metrics.replaced_logs == {REQUESTED: 1}


async def test_a_record_of_the_old_log_moves_nothing() -> None:
    """It is still in work when the log falls. The same offset of the new log stays open until it is done itself."""
    bench = Bench()
    bench.block_calls()
    make_requests(bench, range(3))
    async with bench.running(REQUESTED_0):
        await until(lambda: bench.gateway.under_way == 3)
        old = bench.release_later_calls()
        bench.block_calls()
        bench.broker.replace_log(REQUESTED_0)
        make_requests(bench, range(10, 12))
        await until(lambda: bench.gateway.under_way == 5)
        old.set()
        await until(lambda: bench.gateway.under_way == 2)
        await until(lambda: bench.broker.committed.get(REQUESTED_0) == 0)
        bench.release_calls()
        await until(lambda: bench.broker.committed.get(REQUESTED_0) == 2)

    assert sorted(bench.applied) == sorted(ids(range(3)) + ids(range(10, 12)))


async def test_what_is_left_after_an_unclean_election_is_read_again() -> None:
    """The end falls below what was read. Repeats have no second effect, so the whole log is safe to read again."""
    bench = Bench()
    make_requests(bench, range(5))
    async with bench.running(REQUESTED_0):
        await until(lambda: bench.broker.committed.get(REQUESTED_0) == 5)
        bench.broker.truncate(REQUESTED_0, 2)
        make_requests(bench, range(20, 22))
        await until(lambda: bench.broker.committed.get(REQUESTED_0) == 4)

    assert set(ids(range(20, 22))) <= set(bench.applied)


async def test_a_committed_offset_beyond_the_end_is_noticed() -> None:
    """It was committed of a log that is gone. A worker that starts then begins at the beginning, and says so."""
    bench = Bench()
    bench.broker.committed[REQUESTED_0] = 50
    make_requests(bench, range(3))
    async with bench.running(REQUESTED_0):
        await until(lambda: bench.broker.committed.get(REQUESTED_0) == 3)

    assert bench.applied == ids(range(3))
    assert bench.metrics.replaced_logs == {REQUESTED: 1}


async def test_a_paused_partition_whose_log_falls_is_noticed() -> None:
    """It is not polled, so only its end tells."""
    bench = Bench(replace(QUICK, max_read_ahead=3))
    make_requests(bench, range(3))
    bench.block_calls()
    async with bench.running(REQUESTED_0):
        await until(lambda: bench.source.paused)
        bench.broker.truncate(REQUESTED_0, 1)
        await until(lambda: bench.metrics.replaced_logs[REQUESTED] == 1)
        bench.release_calls()
        await until(lambda: bench.broker.committed.get(REQUESTED_0) == 1)


async def test_a_topic_made_again_is_noticed_by_its_id() -> None:
    """The new log is longer than the old one by the time of the next poll, so no offset falls."""
    bench = Bench()
    bench.broker.topic_ids[REQUESTED] = b"old"
    make_requests(bench, range(2))
    async with bench.running(REQUESTED_0):
        await until(lambda: bench.broker.committed.get(REQUESTED_0) == 2)
        await until(lambda: bench.loop.positions()[0].end == 2)
        bench.broker.replace_log(REQUESTED_0)
        make_requests(bench, range(10, 15))
        await until(lambda: set(ids(range(10, 15))) <= set(bench.applied))

    assert bench.metrics.replaced_logs == {REQUESTED: 1}


async def test_a_rebalance_is_not_taken_for_a_log_that_falls() -> None:
    """Records are read again from the committed offset after it."""
    bench = Bench(poll_delay_turns=3)
    make_requests(bench, range(5))
    async with bench.running(REQUESTED_0):
        for _ in range(5):
            await bench.source.assign(REQUESTED_0, early_turns=2)
            make_requests(bench, range(5, 7))
        await until(lambda: bench.broker.committed.get(REQUESTED_0) == 15)

    assert not bench.metrics.replaced_logs


async def test_a_topic_made_again_before_the_first_answer_about_its_logs_is_noticed() -> None:
    """Its new log is as long as the old one, so only the topic's id tells (seed 6119 of the simulation)."""
    bench = Bench()
    bench.broker.topic_ids[REQUESTED] = b"old"
    bench.source.hang.add("logs")
    make_requests(bench, range(2))
    async with bench.running(REQUESTED_0):
        await until(lambda: bench.broker.committed.get(REQUESTED_0) == 2)
        bench.broker.replace_log(REQUESTED_0)
        make_requests(bench, range(10, 12))
        bench.source.released.set()
        await until(lambda: len(bench.applied) == 4)

    assert bench.applied == ids(range(2)) + ids(range(10, 12))


class Answers:
    """A partition that was read up to offset 5, and answers about its log."""

    def __init__(self) -> None:
        self.assignment = Assignment()
        self.new_logs = NewLogs(self.assignment)
        self.begin()

    def begin(self) -> None:
        """Begin an epoch."""
        self.assignment.begin([REQUESTED_0])
        self.assignment.track(Record(REQUESTED, 0, 4, None, b""))

    def answer(self, end: int, topic_id: bytes | None = b"id") -> bool:
        """Compare an answer, and return whether the partition is outdated."""
        log = PartitionLog(end, end, topic_id)
        self.new_logs.compare(self.new_logs.read_so_far(), {REQUESTED_0: log})
        return REQUESTED_0 in self.assignment.outdated


def test_one_answer_that_does_not_fit_is_not_enough() -> None:
    """A broker that was frozen may give an old answer when it wakes up."""
    answers = Answers()

    assert not any(answers.answer(end) for end in (5, 4, 5, 4, 9))
    assert not answers.answer(4)
    assert answers.answer(4)


def test_an_offset_of_a_log_that_is_gone_is_taken_back() -> None:
    """It may have been committed just after the topic was made again. A revocation may come before the log is begun."""
    answers = Answers()
    before = answers.assignment.watermarks()
    for topic_id in (b"old", b"new", b"new"):
        answers.answer(9, topic_id)

    assert before == {REQUESTED_0: 4}
    assert answers.assignment.watermarks() == {REQUESTED_0: 0}


def test_an_answer_to_an_older_question_is_not_compared() -> None:
    """What was read since the question may lie beyond the end that the answer names."""
    answers = Answers()
    for _ in range(5):
        read = answers.new_logs.read_so_far()
        position = answers.assignment.trackers[REQUESTED_0].position or 0
        answers.assignment.track(Record(REQUESTED, 0, position, None, b""))
        answers.new_logs.compare(read, {REQUESTED_0: PartitionLog(position, position)})

    assert not answers.assignment.outdated


def test_an_id_is_remembered_over_a_rebalance_but_not_over_a_new_log() -> None:
    """A stale commit may have landed on the new log. Once that is begun, its id is the one that counts."""
    answers = Answers()
    answers.answer(5, b"old")
    answers.begin()

    assert [answers.answer(9, b"new") for _ in range(2)] == [False, True]

    answers.assignment.begin_log(REQUESTED_0, 0)

    assert not any(answers.answer(9, b"new") for _ in range(3))
    assert not any(answers.answer(9, None) for _ in range(3))
