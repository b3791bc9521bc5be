"""The loop, on a broker in memory."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from consumers.outcomes import Applied, Unreachable
from tests.fakes.consumer_bench import P0, P1, QUICK, S0, Bench
from tests.fakes.inbound import REQUESTED, SUBMITTED, record, signin_id, submission_record
from tests.fakes.waiting import until


async def test_records_are_applied_and_their_offsets_committed() -> None:
    """Over gaps, and with the marker of a transaction at the end."""
    bench = Bench()
    bench.request(1, gap=3)
    bench.request(2, gap=2)
    bench.broker.append(submission_record(1))

    async with bench.running(P0, S0):
        await until(lambda: bench.broker.committed == {P0: 7, S0: 1})
        bench.broker.mark(P0)
        await until(lambda: bench.broker.committed == {P0: 8, S0: 1})
        await until(lambda: [position.lag for position in bench.metrics.snapshots[-1].partitions] == [0, 0])

        assert bench.loop.ready
        assert bench.owned == {P0, S0}
        assert [position.committed for position in bench.loop.positions()] == [8, 1]

    assert bench.applied == [signin_id(1), signin_id(2)]
    assert bench.metrics.done == {(REQUESTED, "applied"): 2, (SUBMITTED, "applied"): 1}
    assert bench.source.stopped == 1
    assert not bench.loop.ready
    assert bench.metrics.snapshots[-1].partitions == ()


async def test_a_slow_key_delays_no_other_and_no_offset_is_passed() -> None:
    """The watermark waits for it."""
    bench = Bench()
    bench.gateway.answers.append(Unreachable())
    bench.gateway.gate.clear()
    bench.request(1)

    async with bench.running(P0):
        await until(lambda: bench.gateway.under_way == 1)
        stuck_gate, bench.gateway.gate = bench.gateway.gate, asyncio.Event()
        bench.gateway.gate.set()
        bench.gateway.answers.clear()
        bench.request(2)
        bench.request(1, attempt=2)
        await until(lambda: bench.applied == [signin_id(2)])

        assert bench.broker.committed.get(P0, 0) == 0

        stuck_gate.set()
        await until(lambda: bench.broker.committed == {P0: 3})

    assert bench.applied == [signin_id(2), signin_id(1), signin_id(1)]


async def test_a_flood_of_one_key_delays_no_other() -> None:
    """Whatever queues in its lane takes no place of those that could be worked on, of its partition or of another."""
    bench = Bench(replace(QUICK, max_records=4))
    bench.gateway.gate.clear()
    bench.request(1)

    async with bench.running(P0, P1):
        await until(lambda: bench.gateway.under_way == 1)
        stuck_gate, bench.gateway.gate = bench.gateway.gate, asyncio.Event()
        bench.gateway.gate.set()
        for attempt in range(2, 21):
            bench.request(1, attempt=attempt)

        bench.request(2)
        bench.request(3, partition=1)
        await until(lambda: sorted(bench.applied) == [signin_id(2), signin_id(3)])
        stuck_gate.set()
        await until(lambda: bench.broker.committed == {P0: 21, P1: 1})

    assert bench.requests[-20:] == [(signin_id(1), attempt) for attempt in range(1, 21)]


async def test_poison_goes_to_the_dead_letters_before_its_offset_is_done() -> None:
    """And stops nothing."""
    bench = Bench()
    bench.writer.failures = 3
    bench.broker.append(record(REQUESTED, b"poison"))
    bench.request(1)
    async with bench.running(P0):
        await until(lambda: bench.broker.committed == {P0: 2})

    assert [written.value for written in bench.writer.written] == [b"poison"]
    assert bench.metrics.done == {(REQUESTED, "dead_lettered"): 1, (REQUESTED, "applied"): 1}


async def test_temporal_away_pauses_intake_and_goes_on_by_itself() -> None:
    """Polling goes on, over a rebalance too; memory is bounded, nothing becomes a dead letter."""
    bench = Bench(replace(QUICK, max_records=10, drain_s=0.01))
    bench.gateway.down = Unreachable
    for number in range(50):
        bench.request(number)

    async with bench.running(P0):
        await until(lambda: bench.breaker.is_open and bench.source.paused == {P0})
        await bench.source.assign(P0)

        assert not bench.source.paused

        await until(lambda: bench.source.paused == {P0})
        polls = bench.source.polls
        await until(lambda: bench.source.polls > polls + 5)
        await until(lambda: bench.metrics.snapshots[-1].breaker_open)

        assert bench.metrics.snapshots[-1].in_flight <= 10

        bench.gateway.down = None
        await until(lambda: bench.broker.committed == {P0: 50})

    assert sorted(bench.applied) == [signin_id(number) for number in range(50)]
    assert not bench.writer.written


async def test_full_lanes_pause_reading_and_no_poll_asks_for_more_than_there_is_room() -> None:
    """After a rebalance the pause is put on again."""
    bench = Bench(replace(QUICK, max_records=4, drain_s=0.01))
    bench.gateway.gate.clear()
    for number in range(20):
        bench.request(number, partition=number % 2)

    async with bench.running(P0, P1):
        await until(lambda: bench.source.paused == {P0, P1})
        await until(lambda: bench.gateway.under_way == 4)
        await bench.source.assign(P0, P1)

        assert not bench.source.paused

        await until(lambda: bench.source.paused == {P0, P1})
        bench.gateway.gate.set()
        await until(lambda: bench.broker.committed == {P0: 10, P1: 10})

    assert bench.source.largest_poll == 4
    assert sorted(bench.applied) == [signin_id(number) for number in range(20)]


async def test_a_partition_is_read_only_so_far_ahead_of_its_watermark() -> None:
    """The others are read on."""
    bench = Bench(replace(QUICK, max_read_ahead=5, max_records=8))
    bench.gateway.gate.clear()
    bench.request(0)

    async with bench.running(P0, P1):
        await until(lambda: bench.gateway.under_way)
        stuck_gate, bench.gateway.gate = bench.gateway.gate, asyncio.Event()
        bench.gateway.gate.set()
        for number in range(1, 30):
            bench.request(number)

        await until(lambda: bench.source.paused == {P0})
        bench.request(100, partition=1)
        await until(lambda: bench.broker.committed.get(P1) == 1)
        stuck_gate.set()
        await until(lambda: bench.broker.committed == {P0: 30, P1: 1})

    assert len(bench.applied) == 31


async def test_too_many_dead_letters_stop_consumption_until_resumed() -> None:
    """The one above the limit is written afterwards: none is lost. A rebalance resumes nothing."""
    bench = Bench(replace(QUICK, drain_s=0.01))
    for _ in range(8):
        bench.broker.append(record(REQUESTED, b"poison"))

    async with bench.running(P0):
        await until(lambda: bench.rate.is_open and bench.source.paused == {P0})
        await until(lambda: len(bench.writer.written) == 5)
        await bench.source.assign(P0)

        assert not bench.source.paused

        await until(lambda: bench.source.paused == {P0})
        bench.request(1)

        assert bench.loop.halted

        bench.rate.resume()
        await until(lambda: bench.broker.committed == {P0: 9})

    assert len(bench.writer.written) == 8


async def test_a_revocation_drains_commits_and_drops_the_rest() -> None:
    """What was dropped comes again with the next assignment, and is a duplicate if Temporal had it."""
    bench = Bench(replace(QUICK, drain_s=0.01, commit_interval_s=1000))
    bench.request(1)
    async with bench.running(P0):
        await until(lambda: bench.applied)
        bench.gateway.gate.clear()
        bench.request(2)
        await until(lambda: bench.gateway.under_way == 1)
        await bench.source.assign()

        assert bench.broker.committed == {P0: 1}
        assert bench.gateway.under_way == 0
        assert not bench.owned
        assert bench.loop.ready

        bench.gateway.gate.set()
        await bench.source.assign(P0)
        await until(lambda: len(bench.applied) == 2)

    assert bench.broker.committed == {P0: 2}
    assert bench.metrics.rebalances == 3


async def test_a_revocation_waits_for_what_is_under_way() -> None:
    """What ends within the time allowed is committed before the partitions go: nobody reads it again."""
    bench = Bench(replace(QUICK, commit_interval_s=1000))
    bench.gateway.gate.clear()
    bench.request(1)

    async with bench.running(P0):
        await until(lambda: bench.gateway.under_way)
        revocation = asyncio.create_task(bench.source.assign())
        await asyncio.sleep(0)
        bench.gateway.gate.set()
        await revocation

        assert bench.broker.committed == {P0: 1}

    assert len(bench.applied) == 1


async def test_an_assignment_without_revocation_ends_the_one_before() -> None:
    """Whatever the client does, epochs do not mix."""
    bench = Bench()
    bench.gateway.gate.clear()
    bench.request(1)

    async with bench.running(P0):
        await until(lambda: bench.gateway.under_way)
        bench.gateway.gate.set()
        await bench.source.listeners[-1].on_assigned([P0])

        assert bench.gateway.under_way == 0

        bench.request(2)
        await until(lambda: bench.broker.committed == {P0: 2})


@pytest.mark.parametrize("early", [0, 30])
async def test_a_poll_across_a_rebalance_loses_nothing(early: int) -> None:
    """Its records, of the old assignment or of the new one, are read again from the committed offset."""
    bench = Bench(lag_of_poll=20)
    async with bench.running(P0):
        for number in range(30):
            bench.request(number)
            await until(lambda: bench.source.polling)
            await bench.source.assign(P0, early=early)
        await until(lambda: bench.broker.committed == {P0: 30})

    assert bench.applied[-1] == signin_id(29)
    assert sorted(set(bench.applied)) == [signin_id(number) for number in range(30)]


async def test_a_poll_across_a_rebalance_passes_nothing_by() -> None:
    """What was in flight is dropped and read again, though the one behind it was just being polled."""
    bench = Bench(replace(QUICK, drain_s=0.001), lag_of_poll=5_000)
    bench.gateway.gate.clear()
    bench.request(0)

    async with bench.running(P0):
        await until(lambda: bench.gateway.under_way)
        bench.request(1)
        await until(lambda: bench.source.positions == {P0: 2})
        await bench.source.assign(P0)
        bench.gateway.gate.set()
        await until(lambda: bench.broker.committed == {P0: 2})

    assert sorted(bench.applied) == [signin_id(0), signin_id(1)]


@pytest.mark.parametrize("early", [0, 2, 10])
async def test_records_that_come_before_their_assignment_is_told_are_read_again(early: int) -> None:
    """A poll from before the rebalance brings them, so that nobody can tell which assignment they belong to."""
    bench = Bench(replace(QUICK, poll_ms=1000))
    async with bench.running(P0):
        for number in range(10):
            await until(lambda: bench.source.polling)
            await bench.source.assign(P0, early=early, between=partial(bench.request, number))
            bench.request(number, attempt=2)
            await until(lambda: len(set(bench.requests)) == 2 * (number + 1))
        bench.broker.mark(P0)
        await until(lambda: bench.broker.committed == {P0: 21})

    assert len(bench.requests) == 20


async def test_kafka_away_is_waited_for() -> None:
    """At the start, while polling, while committing, while leaving."""
    bench = Bench()
    bench.source.start_failures = 3
    bench.request(1)

    async with bench.running(P0):
        await until(lambda: bench.broker.committed == {P0: 1})
        bench.broker.down = True
        polls = bench.source.polls
        await until(lambda: bench.source.polls > polls + 3)
        bench.broker.down = False
        bench.request(2)
        await until(lambda: bench.broker.committed == {P0: 2})
        bench.broker.down = True

    assert bench.source.stopped == 1


async def test_stopping_while_kafka_is_away_at_the_start_ends_at_once() -> None:
    """Nothing was joined, so nothing is left."""
    bench = Bench(replace(QUICK, retry_s=1000))
    bench.source.start_failures = 1_000_000
    run = asyncio.create_task(bench.loop.run())
    await asyncio.sleep(0)
    bench.loop.stop()
    await asyncio.wait_for(run, 5)

    assert bench.source.stopped == 0
    assert not bench.loop.ready


async def test_a_client_that_does_not_stop_is_left_behind() -> None:
    """The end comes in time."""
    bench = Bench()
    async with bench.running(P0):
        bench.source.hang = {"stop"}
    assert bench.source.stopped == 0


async def test_a_stop_drains_and_commits() -> None:
    """What is under way may finish."""
    bench = Bench(replace(QUICK, commit_interval_s=1000))
    bench.gateway.gate.clear()
    bench.request(1)

    async with bench.running(P0):
        await until(lambda: bench.gateway.under_way)
        bench.loop.stop()
        await until(lambda: not bench.loop.ready)
        bench.gateway.gate.set()

    assert bench.broker.committed == {P0: 1}


@pytest.mark.parametrize("place", ["handler", "poll", "watch", "revocation"])
async def test_a_bug_ends_the_loop(place: str) -> None:
    """Wherever it is raised: nothing hides it, the group is left, the offset stays."""
    bench = Bench()

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with bench.running(P0) as run:
            match place:
                case "handler":
                    bench.gateway.answers.append(ZeroDivisionError())
                    bench.request(1)
                case "poll":
                    bench.source.raising.append(ZeroDivisionError())
                case "watch":
                    bench.source.__dict__["end_offsets"] = broken
                case "revocation":
                    bench.gateway.answers.append(Applied())
                    bench.source.__dict__["commit"] = broken
                    bench.request(1)
                    await until(lambda: bench.metrics.done)
                    await bench.source.assign(P0)
            await until(run.done)

    assert bench.source.stopped == 1
    assert not bench.broker.committed.get(P0)
