"""Consumers that stall, outages that are no stalls, and records that hold their partition back."""

import asyncio
import logging
from dataclasses import replace

import pytest

from consumers.outcomes import Throttled, Unreachable
from consumers.polling.watchdog import ConsumerStalled
from consumers.ports import GroupRefused
from tests.fakes.consumer_bench import QUICK, REQUESTED_0, REQUESTED_1, Bench
from tests.fakes.inbound import REQUESTED, record, signin_id
from tests.fakes.waiting import until

WATCHFUL = replace(QUICK, stall_s=1.0, report_every_s=0.01)


@pytest.mark.parametrize("also_hangs", [set(), {"stop"}])
@pytest.mark.parametrize("stall", ["nothing is read", "no poll returns"])
async def test_a_stalled_consumer_is_rebuilt_and_continues(
    stall: str, also_hangs: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The new consumer reads from the committed offset. Nothing is lost or applied twice. Meanwhile it is not ready."""
    bench = Bench(WATCHFUL)
    bench.request(1)
    async with bench.running(REQUESTED_0):
        await until(lambda: bench.broker.committed == {REQUESTED_0: 1})
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
        await bench.source.assign(REQUESTED_0)
        await until(lambda: bench.broker.committed == {REQUESTED_0: 2})

        assert bench.loop.ready

    assert bench.applied == [signin_id(1), signin_id(2)]

    [line] = [line for line in caplog.records if line.levelno >= logging.ERROR]

    assert line.getMessage() == "the consumer has stalled, though Kafka answers"


async def test_a_consumer_that_its_group_refuses_joins_anew() -> None:
    """That is no stall: nothing counts as rebuilt, however often it happens, and no record is applied twice."""
    bench = Bench(WATCHFUL)

    async with bench.running(REQUESTED_0):
        for number in range(1, 4):
            bench.request(number)
            await until(lambda: bench.broker.committed == {REQUESTED_0: number})
            bench.source.raising.append(GroupRefused("GroupAuthorizationFailedError"))
            await until(lambda: len(bench.source.listeners) == number + 1)
            await bench.source.assign(REQUESTED_0)

    assert bench.applied == [signin_id(1), signin_id(2), signin_id(3)]
    assert bench.metrics.rebuilds == 0


async def test_a_consumer_that_its_group_refuses_during_a_rebalance_joins_anew() -> None:
    """It has no partitions and polls nothing then, and does not wait until that counts as a stall."""
    bench = Bench(WATCHFUL)

    async with bench.running(REQUESTED_0):
        await bench.source.listeners[0].on_revoked([REQUESTED_0])
        bench.source.join_failures.append(GroupRefused("GroupAuthorizationFailedError"))
        bench.request(1)
        await until(lambda: len(bench.source.listeners) == 2)
        await bench.source.assign(REQUESTED_0)
        await until(lambda: bench.applied == [signin_id(1)])

    assert bench.metrics.rebuilds == 0


async def test_a_consumer_that_kafka_refuses_does_not_stall() -> None:
    """For longer than two stalls nothing can be read. Once Kafka refuses nothing any more, the consumer goes on."""
    bench = Bench(WATCHFUL)

    async with bench.running(REQUESTED_0) as run:
        bench.source.refusal = "TopicAuthorizationFailedError"
        bench.source.deaf = True
        bench.request(1)
        await asyncio.wait({run}, timeout=2.5)

        assert not run.done()
        assert bench.metrics.rebuilds == 0
        assert bench.loop.refusal == "TopicAuthorizationFailedError"

        bench.source.refusal = None
        bench.source.deaf = False
        bench.broker.changed.set()
        await until(lambda: bench.applied == [signin_id(1)], 10)


async def test_records_in_flight_finish_before_a_rebuild() -> None:
    """They are committed, so that the next consumer does not read them again."""
    bench = Bench(replace(WATCHFUL, commit_interval_s=1000))
    bench.block_calls()
    bench.request(1)

    async with bench.running(REQUESTED_0):
        await until(lambda: bench.gateway.under_way)
        bench.source.hang.add("poll")
        await until(lambda: not bench.loop.is_well, 60)
        bench.release_calls()
        await until(lambda: bench.metrics.rebuilds == 1, 60)

        assert bench.broker.committed == {REQUESTED_0: 1}

        bench.source.hang.clear()


async def test_a_second_stall_without_recovery_raises() -> None:
    """The consumer leaves its group; then the error ends the process."""
    bench = Bench(WATCHFUL)
    bench.source.hang.add("poll")

    with pytest.raises(ConsumerStalled, match="no poll returns|no end offsets arrive"):
        async with bench.running(REQUESTED_0) as run:
            await until(lambda: len(bench.source.listeners) == 2 or run.done(), 60)
            await bench.source.assign(REQUESTED_0)
            await until(run.done, 60)

    assert bench.metrics.rebuilds == 1
    assert bench.source.stops == 2


async def test_a_group_that_is_never_joined_is_a_stall() -> None:
    """With a coordinator that is stuck, the consumer starts but gets no assignment."""
    bench = Bench(WATCHFUL)
    run = asyncio.create_task(bench.loop.run())
    await until(lambda: bench.metrics.rebuilds == 1, 60)
    with pytest.raises(ConsumerStalled, match="no partitions are assigned|no end offsets arrive|no poll returns"):
        await run


@pytest.mark.parametrize("away", ["Temporal", "Kafka"])
async def test_an_outage_is_not_a_stall(away: str) -> None:
    """However long it takes, nothing is rebuilt, and consumption continues by itself."""
    bench = Bench(replace(WATCHFUL, drain_s=0.01))
    async with bench.running(REQUESTED_0):
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

        bench.gateway.down = None
        bench.broker.down = False
        await until(lambda: bench.broker.committed == {REQUESTED_0: 1})

    assert bench.source.starts == 1


async def test_callbacks_of_a_replaced_consumer_have_no_effect() -> None:
    """Its coordinator may assign partitions after the new consumer has got its own."""
    bench = Bench(WATCHFUL)
    async with bench.running(REQUESTED_0):
        bench.source.deaf = True
        bench.request(1)
        await until(lambda: len(bench.source.listeners) == 2, 60)
        await bench.source.assign(REQUESTED_0)

        rebalances = bench.metrics.rebalances
        replaced = bench.source.listeners[0]
        await replaced.on_revoked([REQUESTED_0])
        await replaced.on_assigned([REQUESTED_1])

        assert bench.owned == {REQUESTED_0}
        assert bench.metrics.rebalances == rebalances

        await until(lambda: bench.broker.committed == {REQUESTED_0: 1})


async def test_a_stop_does_not_wait_for_a_start_that_hangs() -> None:
    """The loop returns although the client never does."""
    bench = Bench()
    bench.source.hang.add("start")
    run = asyncio.create_task(bench.loop.run())
    await until(lambda: bench.source.starts)
    bench.loop.stop()
    await asyncio.wait_for(run, 5)


async def test_a_stop_does_not_wait_for_a_poll_that_hangs() -> None:
    """Finished records are committed all the same."""
    bench = Bench(replace(QUICK, commit_interval_s=1000))
    bench.request(1)

    async with bench.running(REQUESTED_0) as run:
        await until(lambda: bench.applied)
        bench.source.hang.add("poll")
        polls = bench.source.polls
        await until(lambda: bench.source.polls > polls)
        bench.loop.stop()
        await asyncio.wait_for(asyncio.shield(run), 5)

    assert bench.broker.committed == {REQUESTED_0: 1}


def logged_reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the logged reasons why records hold their partition back."""
    lines = [line for line in caplog.records if line.getMessage() == "a record holds its partition back"]
    return [vars(line)["reason"] for line in lines]


async def test_a_record_that_holds_its_partition_back_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, with the reason of its last try. The gauge shows for how long."""
    bench = Bench(replace(QUICK, head_of_line_s=0.3))
    bench.gateway.answers.append(Throttled())
    bench.request(1)

    async with bench.running(REQUESTED_0):
        await until(lambda: logged_reasons(caplog))

        assert logged_reasons(caplog) == ["throttled"]

        await until(lambda: bench.metrics.snapshots[-1].partitions[0].head_of_line_s > 0.3)
        await until(lambda: bench.broker.committed == {REQUESTED_0: 1})
        await until(lambda: bench.metrics.snapshots[-1].partitions[0].head_of_line_s == 0)

    assert len(logged_reasons(caplog)) == 1


async def test_the_log_tells_a_failed_dead_letter_from_a_slow_call(caplog: pytest.LogCaptureFixture) -> None:
    """The reasons are ``dead_letter_not_written`` and ``under_way``."""
    bench = Bench(replace(QUICK, head_of_line_s=0.05, drain_s=0.01))
    bench.writer.failures = 1_000_000
    bench.broker.append(record(REQUESTED, b"poison"))
    bench.block_calls()
    bench.request(1, partition=1)
    async with bench.running(REQUESTED_0, REQUESTED_1):
        await until(lambda: len(logged_reasons(caplog)) == 2)

    assert sorted(logged_reasons(caplog)) == ["dead_letter_not_written", "under_way"]
