"""The consumer loop on a broker in memory: reading, back-pressure, start and stop."""

import asyncio
from dataclasses import replace

import pytest

from consumers.outcomes import Applied, Unreachable
from tests.fakes.consumer_bench import QUICK, REQUESTED_0, REQUESTED_1, SUBMITTED_0, Bench
from tests.fakes.inbound import REQUESTED, SUBMITTED, record, signin_id, submission_record
from tests.fakes.waiting import until


async def test_records_are_applied_and_their_offsets_committed() -> None:
    """The watermark moves over gaps between records and over a transaction marker at the end."""
    bench = Bench()
    bench.request(1, gap=3)
    bench.request(2, gap=2)
    bench.broker.append(submission_record(1))

    async with bench.running(REQUESTED_0, SUBMITTED_0):
        await until(lambda: bench.broker.committed == {REQUESTED_0: 7, SUBMITTED_0: 1})
        bench.broker.use_offsets(REQUESTED_0)
        await until(lambda: bench.broker.committed == {REQUESTED_0: 8, SUBMITTED_0: 1})
        await until(lambda: [position.lag for position in bench.metrics.snapshots[-1].partitions] == [0, 0])

        assert bench.loop.ready
        assert bench.owned == {REQUESTED_0, SUBMITTED_0}
        assert [position.committed for position in bench.loop.positions()] == [8, 1]

    assert bench.applied == [signin_id(1), signin_id(2)]
    assert bench.metrics.done == {(REQUESTED, "applied"): 2, (SUBMITTED, "applied"): 1}
    assert bench.source.stops == 1
    assert not bench.loop.ready
    assert bench.metrics.snapshots[-1].partitions == ()


async def test_a_slow_key_delays_no_other_key_and_holds_the_watermark() -> None:
    """Other keys are applied while one waits, but no offset after its record is committed."""
    bench = Bench()
    bench.gateway.answers.append(Unreachable())
    bench.block_calls()
    bench.request(1)

    async with bench.running(REQUESTED_0):
        await until(lambda: bench.gateway.under_way == 1)
        slow_call = bench.release_later_calls()
        bench.gateway.answers.clear()
        bench.request(2)
        bench.request(1, attempt=2)
        await until(lambda: bench.applied == [signin_id(2)])

        assert bench.broker.committed.get(REQUESTED_0, 0) == 0

        slow_call.set()
        await until(lambda: bench.broker.committed == {REQUESTED_0: 3})

    assert bench.applied == [signin_id(2), signin_id(1), signin_id(1)]


async def test_a_flood_of_one_key_delays_no_other_key() -> None:
    """Records queued behind a busy key do not take the capacity of other keys, in the same partition or another."""
    bench = Bench(replace(QUICK, max_records=4))
    bench.block_calls()
    bench.request(1)

    async with bench.running(REQUESTED_0, REQUESTED_1):
        await until(lambda: bench.gateway.under_way == 1)
        slow_call = bench.release_later_calls()
        for attempt in range(2, 21):
            bench.request(1, attempt=attempt)

        bench.request(2)
        bench.request(3, partition=1)
        await until(lambda: sorted(bench.applied) == [signin_id(2), signin_id(3)])
        slow_call.set()
        await until(lambda: bench.broker.committed == {REQUESTED_0: 21, REQUESTED_1: 1})

    assert bench.attempts[-20:] == [(signin_id(1), attempt) for attempt in range(1, 21)]


async def test_an_unreadable_record_is_dead_lettered_before_its_offset_is_committed() -> None:
    """The records after it are applied."""
    bench = Bench()
    bench.writer.failures = 3
    bench.broker.append(record(REQUESTED, b"poison"))
    bench.request(1)
    async with bench.running(REQUESTED_0):
        await until(lambda: bench.broker.committed == {REQUESTED_0: 2})

    assert [written.value for written in bench.writer.written] == [b"poison"]
    assert bench.metrics.done == {(REQUESTED, "dead_lettered"): 1, (REQUESTED, "applied"): 1}


async def test_an_outage_of_temporal_pauses_intake_and_ends_by_itself() -> None:
    """Polling continues, also through a rebalance. Memory is bounded and nothing becomes a dead letter."""
    bench = Bench(replace(QUICK, max_records=10, drain_s=0.01))
    bench.gateway.down = Unreachable
    for number in range(50):
        bench.request(number)

    async with bench.running(REQUESTED_0):
        await until(lambda: bench.breaker.is_open and bench.source.paused == {REQUESTED_0})
        await bench.source.assign(REQUESTED_0)

        assert not bench.source.paused

        await until(lambda: bench.source.paused == {REQUESTED_0})
        polls = bench.source.polls
        await until(lambda: bench.source.polls > polls + 5)
        await until(lambda: bench.metrics.snapshots[-1].breaker_open)

        assert bench.metrics.snapshots[-1].in_flight <= 10

        bench.gateway.down = None
        await until(lambda: bench.broker.committed == {REQUESTED_0: 50})

    assert sorted(bench.applied) == [signin_id(number) for number in range(50)]
    assert not bench.writer.written


async def test_full_lanes_pause_reading_and_limit_the_size_of_polls() -> None:
    """No poll asks for more records than there is capacity. After a rebalance, partitions are paused again."""
    bench = Bench(replace(QUICK, max_records=4, drain_s=0.01))
    bench.block_calls()
    for number in range(20):
        bench.request(number, partition=number % 2)

    async with bench.running(REQUESTED_0, REQUESTED_1):
        await until(lambda: bench.source.paused == {REQUESTED_0, REQUESTED_1})
        await until(lambda: bench.gateway.under_way == 4)
        await bench.source.assign(REQUESTED_0, REQUESTED_1)

        assert not bench.source.paused

        await until(lambda: bench.source.paused == {REQUESTED_0, REQUESTED_1})
        bench.release_calls()
        await until(lambda: bench.broker.committed == {REQUESTED_0: 10, REQUESTED_1: 10})

    assert bench.source.largest_poll == 4
    assert sorted(bench.applied) == [signin_id(number) for number in range(20)]


async def test_each_partition_is_read_only_so_far_beyond_its_watermark() -> None:
    """A partition that waits for a slow record is paused; the others are read on."""
    bench = Bench(replace(QUICK, max_read_ahead=5, max_records=8))
    bench.block_calls()
    bench.request(0)

    async with bench.running(REQUESTED_0, REQUESTED_1):
        await until(lambda: bench.gateway.under_way)
        slow_call = bench.release_later_calls()
        for number in range(1, 30):
            bench.request(number)

        await until(lambda: bench.source.paused == {REQUESTED_0})
        bench.request(100, partition=1)
        await until(lambda: bench.broker.committed.get(REQUESTED_1) == 1)
        slow_call.set()
        await until(lambda: bench.broker.committed == {REQUESTED_0: 30, REQUESTED_1: 1})

    assert len(bench.applied) == 31


async def test_too_many_dead_letters_stop_consumption_until_resumed() -> None:
    """No dead letter is lost: the rest are written after the resume. A rebalance does not resume consumption."""
    bench = Bench(replace(QUICK, drain_s=0.01))
    for _ in range(8):
        bench.broker.append(record(REQUESTED, b"poison"))

    async with bench.running(REQUESTED_0):
        await until(lambda: bench.dead_letter_breaker.is_open and bench.source.paused == {REQUESTED_0})
        await until(lambda: len(bench.writer.written) == 5)
        await bench.source.assign(REQUESTED_0)

        assert not bench.source.paused

        await until(lambda: bench.source.paused == {REQUESTED_0})
        bench.request(1)

        assert bench.loop.halted

        bench.dead_letter_breaker.resume()
        await until(lambda: bench.broker.committed == {REQUESTED_0: 9})

    assert len(bench.writer.written) == 8


async def test_it_waits_while_kafka_is_away() -> None:
    """An outage may come at the start, while polling, while committing, or while leaving."""
    bench = Bench()
    bench.source.start_failures = 3
    bench.request(1)

    async with bench.running(REQUESTED_0):
        await until(lambda: bench.broker.committed == {REQUESTED_0: 1})
        bench.broker.down = True
        polls = bench.source.polls
        await until(lambda: bench.source.polls > polls + 3)

        bench.broker.down = False
        bench.request(2)
        await until(lambda: bench.broker.committed == {REQUESTED_0: 2})
        bench.broker.down = True

    assert bench.source.stops == 1


async def test_a_stop_returns_at_once_while_kafka_is_away_at_the_start() -> None:
    """No group was joined, so none is left."""
    bench = Bench(replace(QUICK, retry_s=1000))
    bench.source.start_failures = 1_000_000
    run = asyncio.create_task(bench.loop.run())
    await asyncio.sleep(0)
    bench.loop.stop()
    await asyncio.wait_for(run, 5)

    assert bench.source.stops == 0
    assert not bench.loop.ready


async def test_a_stop_does_not_wait_for_a_client_that_hangs() -> None:
    """A client that does not leave its group in time is left behind."""
    bench = Bench()
    async with bench.running(REQUESTED_0):
        bench.source.hang = {"stop"}
    assert bench.source.stops == 0


async def test_a_stop_drains_and_commits() -> None:
    """Records in flight may finish."""
    bench = Bench(replace(QUICK, commit_interval_s=1000))
    bench.block_calls()
    bench.request(1)

    async with bench.running(REQUESTED_0):
        await until(lambda: bench.gateway.under_way)
        bench.loop.stop()
        await until(lambda: not bench.loop.ready)
        bench.release_calls()

    assert bench.broker.committed == {REQUESTED_0: 1}


@pytest.mark.parametrize("place", ["handler", "poll", "report", "revocation"])
async def test_a_bug_ends_the_loop(place: str) -> None:
    """The error is raised wherever it happens, the group is left, and the offset is not committed."""
    bench = Bench()

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with bench.running(REQUESTED_0) as run:
            match place:
                case "handler":
                    bench.gateway.answers.append(ZeroDivisionError())
                    bench.request(1)
                case "poll":
                    bench.source.raising.append(ZeroDivisionError())
                case "report":
                    bench.source.__dict__["logs"] = broken
                case "revocation":
                    bench.gateway.answers.append(Applied())
                    bench.source.__dict__["commit"] = broken
                    bench.request(1)
                    await until(lambda: bench.metrics.done)
                    await bench.source.assign(REQUESTED_0)
            await until(run.done)

    assert bench.source.stops == 1
    assert not bench.broker.committed.get(REQUESTED_0)
