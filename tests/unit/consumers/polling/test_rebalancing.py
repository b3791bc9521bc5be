"""Rebalances: what is committed before partitions go, and what is read again afterwards."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from tests.fakes.consumer_bench import QUICK, REQUESTED_0, Bench
from tests.fakes.inbound import signin_id
from tests.fakes.waiting import until


async def test_a_revocation_drains_commits_and_drops_the_rest() -> None:
    """Dropped records come again with the next assignment; if Temporal already has them, they are duplicates."""
    bench = Bench(replace(QUICK, drain_s=0.01, commit_interval_s=1000))
    bench.request(1)

    async with bench.running(REQUESTED_0):
        await until(lambda: bench.applied)
        bench.block_calls()
        bench.request(2)
        await until(lambda: bench.gateway.under_way == 1)
        await bench.source.assign()

        assert bench.broker.committed == {REQUESTED_0: 1}
        assert bench.gateway.under_way == 0
        assert not bench.owned
        assert bench.loop.ready

        bench.release_calls()
        await bench.source.assign(REQUESTED_0)
        await until(lambda: len(bench.applied) == 2)

    assert bench.broker.committed == {REQUESTED_0: 2}
    assert bench.metrics.rebalances == 3


async def test_a_revocation_waits_for_records_in_flight() -> None:
    """Records that finish in time are committed before the partitions go, so that nobody reads them again."""
    bench = Bench(replace(QUICK, commit_interval_s=1000))
    bench.block_calls()
    bench.request(1)

    async with bench.running(REQUESTED_0):
        await until(lambda: bench.gateway.under_way)
        revocation = asyncio.create_task(bench.source.assign())
        await asyncio.sleep(0)
        bench.release_calls()
        await revocation

        assert bench.broker.committed == {REQUESTED_0: 1}

    assert len(bench.applied) == 1


async def test_an_assignment_without_a_revocation_ends_the_previous_one() -> None:
    """Epochs do not mix, whatever the client does."""
    bench = Bench()
    bench.block_calls()
    bench.request(1)

    async with bench.running(REQUESTED_0):
        await until(lambda: bench.gateway.under_way)
        bench.release_calls()
        await bench.source.listeners[-1].on_assigned([REQUESTED_0])

        assert bench.gateway.under_way == 0

        bench.request(2)
        await until(lambda: bench.broker.committed == {REQUESTED_0: 2})


@pytest.mark.parametrize("early_turns", [0, 30])
async def test_a_poll_across_a_rebalance_loses_nothing(early_turns: int) -> None:
    """Its records, of the old assignment or of the new one, are read again from the committed offset."""
    bench = Bench(poll_delay_turns=20)
    async with bench.running(REQUESTED_0):
        for number in range(30):
            bench.request(number)
            await until(lambda: bench.source.polling)
            await bench.source.assign(REQUESTED_0, early_turns=early_turns)
        await until(lambda: bench.broker.committed == {REQUESTED_0: 30})

    assert bench.applied[-1] == signin_id(29)
    assert sorted(set(bench.applied)) == [signin_id(number) for number in range(30)]


async def test_a_poll_across_a_rebalance_skips_no_record() -> None:
    """A record in flight is dropped and read again, although the record after it was being polled."""
    bench = Bench(replace(QUICK, drain_s=0.001), poll_delay_turns=5_000)
    bench.block_calls()
    bench.request(0)

    async with bench.running(REQUESTED_0):
        await until(lambda: bench.gateway.under_way)
        bench.request(1)
        await until(lambda: bench.source.positions == {REQUESTED_0: 2})
        await bench.source.assign(REQUESTED_0)
        bench.release_calls()
        await until(lambda: bench.broker.committed == {REQUESTED_0: 2})

    assert sorted(bench.applied) == [signin_id(0), signin_id(1)]


@pytest.mark.parametrize("early_turns", [0, 2, 10])
async def test_records_polled_before_the_assignment_callback_are_read_again(early_turns: int) -> None:
    """A poll that began before the rebalance returns them, so nobody can tell which assignment they belong to."""
    bench = Bench(replace(QUICK, poll_ms=1000))
    async with bench.running(REQUESTED_0):
        for number in range(10):
            await until(lambda: bench.source.polling)
            append = partial(bench.request, number)
            await bench.source.assign(REQUESTED_0, early_turns=early_turns, while_unassigned=append)
            bench.request(number, attempt=2)
            await until(lambda: len(set(bench.attempts)) == 2 * (number + 1))

        bench.broker.use_offsets(REQUESTED_0)
        await until(lambda: bench.broker.committed == {REQUESTED_0: 21})

    assert len(bench.attempts) == 20
