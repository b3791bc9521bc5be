"""The loop and consumers that stall: what is rebuilt, what is not, and what happens to the records."""

import asyncio
import logging
from dataclasses import replace

import pytest

from consumers.outcomes import Throttled, Unreachable
from consumers.polling.watchdog import ConsumerStalled
from tests.fakes.consumer_bench import P0, P1, QUICK, Bench
from tests.fakes.inbound import REQUESTED, record, signin_id
from tests.fakes.waiting import until

WATCHFUL = replace(QUICK, stall_s=1.0, report_every_s=0.01)


@pytest.mark.parametrize("also_hangs", [set(), {"stop"}])
@pytest.mark.parametrize("stall", ["nothing is read", "no poll returns"])
async def test_a_consumer_that_stalls_is_rebuilt_and_goes_on(
    stall: str, also_hangs: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    """From the committed offset: nothing is lost, nothing applied twice. Meanwhile it is not ready."""
    bench = Bench(WATCHFUL)
    bench.request(1)
    async with bench.running(P0):
        await until(lambda: bench.broker.committed == {P0: 1})
        bench.source.hang |= also_hangs
        if stall == "nothing is read":
            bench.source.deaf = True
        else:
            bench.source.hang.add("poll")

        bench.request(2)
        await until(lambda: not bench.loop.is_well, 60)
        await until(lambda: bench.metrics.rebuilds == 1, 60)
        bench.source.hang.clear()

        assert not bench.loop.ready

        await until(lambda: bench.source.starts == 2 and len(bench.source.listeners) == 2)
        await bench.source.assign(P0)
        await until(lambda: bench.broker.committed == {P0: 2})

        assert bench.loop.ready

    assert bench.applied == [signin_id(1), signin_id(2)]

    [line] = [each for each in caplog.records if each.levelno >= logging.ERROR]

    assert line.getMessage() == "the consumer has stalled, though Kafka answers"


async def test_what_is_in_flight_is_finished_before_the_rebuild() -> None:
    """And committed, so that the next consumer does not read it again."""
    bench = Bench(replace(WATCHFUL, commit_interval_s=1000))
    bench.gateway.gate.clear()
    bench.request(1)

    async with bench.running(P0):
        await until(lambda: bench.gateway.under_way)
        bench.source.hang.add("poll")
        await until(lambda: not bench.loop.is_well, 60)
        bench.gateway.gate.set()
        await until(lambda: bench.metrics.rebuilds == 1, 60)

        assert bench.broker.committed == {P0: 1}

        bench.source.hang.clear()


async def test_a_second_stall_without_health_in_between_ends_it() -> None:
    """With an error that ends the process; the group was left before."""
    bench = Bench(WATCHFUL)
    bench.source.hang.add("poll")

    with pytest.raises(ConsumerStalled, match="no poll returns|no end offsets arrive"):
        async with bench.running(P0) as run:
            await until(lambda: len(bench.source.listeners) == 2 or run.done(), 60)
            await bench.source.assign(P0)
            await until(run.done, 60)

    assert bench.metrics.rebuilds == 1
    assert bench.source.stopped == 2


async def test_a_group_that_is_never_joined_is_a_stall() -> None:
    """A coordinator that is stuck: started, and then no word of any partition."""
    bench = Bench(WATCHFUL)
    run = asyncio.create_task(bench.loop.run())
    await until(lambda: bench.metrics.rebuilds == 1, 60)
    with pytest.raises(ConsumerStalled, match="no partitions are assigned|no end offsets arrive|no poll returns"):
        await run


@pytest.mark.parametrize("away", ["Temporal", "Kafka"])
async def test_an_outage_is_no_stall(away: str) -> None:
    """However long it takes: nothing is rebuilt, and it goes on by itself."""
    bench = Bench(replace(WATCHFUL, drain_s=0.01))
    async with bench.running(P0):
        await until(lambda: bench.loop.ready)
        if away == "Temporal":
            bench.gateway.down = Unreachable
        else:
            bench.broker.down = True

        bench.request(1)
        snapshots = len(bench.metrics.snapshots)
        checks = bench.source.checks
        await until(
            lambda: (
                len(bench.metrics.snapshots) > snapshots + 100
                and (away == "Temporal" or bench.source.checks > checks + 8)
            ),
            deadline_s=30,
        )

        assert bench.metrics.rebuilds == 0

        bench.gateway.down, bench.broker.down = None, False
        await until(lambda: bench.broker.committed == {P0: 1})

    assert bench.source.starts == 1


async def test_a_consumer_left_behind_changes_nothing_any_more() -> None:
    """Its coordinator comes with an assignment after its successor has got its own."""
    bench = Bench(WATCHFUL)
    async with bench.running(P0):
        bench.source.deaf = True
        bench.request(1)
        await until(lambda: len(bench.source.listeners) == 2, 60)
        await bench.source.assign(P0)
        rebalances = bench.metrics.rebalances
        old = bench.source.listeners[0]
        await old.on_revoked([P0])
        await old.on_assigned([P1])

        assert bench.owned == {P0}
        assert bench.metrics.rebalances == rebalances

        await until(lambda: bench.broker.committed == {P0: 1})


@pytest.mark.parametrize("call", ["poll", "start"])
async def test_a_stop_does_not_wait_for_a_call_that_hangs(call: str) -> None:
    """What was done is committed all the same."""
    bench = Bench(replace(QUICK, commit_interval_s=1000))
    bench.request(1)
    if call == "start":
        bench.source.hang.add("start")
        run = asyncio.create_task(bench.loop.run())
        await until(lambda: bench.source.starts)
        bench.loop.stop()
        await asyncio.wait_for(run, 5)
        return

    async with bench.running(P0) as run:
        await until(lambda: bench.applied)
        bench.source.hang.add("poll")
        polls = bench.source.polls
        await until(lambda: bench.source.polls > polls)
        bench.loop.stop()
        await asyncio.wait_for(asyncio.shield(run), 5)

    assert bench.broker.committed == {P0: 1}


def held(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the reasons told of records that hold their partition back."""
    lines = [each for each in caplog.records if each.getMessage() == "a record holds its partition back"]
    return [vars(each)["reason"] for each in lines]


async def test_a_record_that_holds_its_partition_back_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Once, with the reason of its last try, though others behind it are done; the gauge shows how long."""
    bench = Bench(replace(QUICK, head_of_line_s=0.3))
    bench.gateway.answers.append(Throttled())
    bench.request(1)

    async with bench.running(P0):
        await until(lambda: held(caplog))

        assert held(caplog) == ["throttled"]

        await until(lambda: bench.metrics.snapshots[-1].partitions[0].head_of_line_s > 0.3)
        await until(lambda: bench.broker.committed == {P0: 1})
        await until(lambda: bench.metrics.snapshots[-1].partitions[0].head_of_line_s == 0)

    assert len(held(caplog)) == 1


async def test_a_dead_letter_that_cannot_be_written_is_told_as_such(caplog: pytest.LogCaptureFixture) -> None:
    """And a call that nobody answers as under way."""
    bench = Bench(replace(QUICK, head_of_line_s=0.05, drain_s=0.01))
    bench.writer.failures = 1_000_000
    bench.broker.append(record(REQUESTED, b"poison"))
    bench.gateway.gate.clear()
    bench.request(1, partition=1)
    async with bench.running(P0, P1):
        await until(lambda: len(held(caplog)) == 2)

    assert sorted(held(caplog)) == ["dead_letter_not_written", "under_way"]
