"""The breaker, one call at a time; the gateway behind it has its own tests."""

import asyncio

import pytest

from consumers.gateway.breaker import Breaker
from consumers.outcomes import KeyBusy, Misconfigured, NotNow, Throttled, Unreachable
from tests.fakes.naps import FakeNaps
from tests.fakes.waiting import until


async def answer(breaker: Breaker, error: NotNow | None = None) -> None:
    """Make one call that is answered so."""
    async with breaker.call():
        if error is not None:
            raise error


async def open_up(breaker: Breaker, error: type[NotNow] = Unreachable, times: int = 1) -> None:
    """Make calls that fail."""
    for _ in range(times):
        with pytest.raises(error):
            await answer(breaker, error())


async def test_it_opens_after_enough_failures_in_a_row() -> None:
    """An answer in between, good or "slow down", counts from the start again."""
    breaker = Breaker(threshold=3)
    await open_up(breaker, times=2)
    await answer(breaker)
    await open_up(breaker, times=2)
    await open_up(breaker, Throttled)
    await open_up(breaker, times=2)

    assert not breaker.is_open

    await open_up(breaker)

    assert breaker.is_open


async def test_probes_grow_rarer_until_one_is_answered() -> None:
    """Doubled each time, up to the longest; afterwards as at first."""
    naps = FakeNaps(instant=True)
    breaker = Breaker(threshold=1, probe_after_s=1, longest_probe_s=5, sleep=naps.sleep)
    await open_up(breaker, times=5)
    await answer(breaker)
    await open_up(breaker, times=2)
    assert naps.taken == [1, 2, 4, 5, 5, 1]


async def test_a_wrong_configuration_opens_it_at_once_and_is_probed_slowly(caplog: pytest.LogCaptureFixture) -> None:
    """An operator has to act, so it is an error in the log."""
    naps = FakeNaps(instant=True)
    breaker = Breaker(threshold=5, probe_after_s=1, longest_probe_s=60, sleep=naps.sleep)
    await open_up(breaker, Misconfigured, times=2)
    assert breaker.is_open
    assert naps.taken == [60]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_probe_that_is_cancelled_leaves_its_place_to_another() -> None:
    """As a rebalance does it."""
    naps = FakeNaps()
    breaker = Breaker(threshold=1, sleep=naps.sleep)
    await open_up(breaker)
    first, second = (asyncio.create_task(answer(breaker)) for _ in range(2))
    await until(lambda: naps.waiting)
    first.cancel()
    await until(first.done)
    await until(lambda: naps.waiting)
    naps.wake()
    await second

    assert not breaker.is_open


async def test_without_a_probe_at_hand_intake_goes_on() -> None:
    """It is the only way to get one: a rebalance drops all calls."""
    breaker = Breaker(threshold=1, sleep=FakeNaps().sleep)
    await open_up(breaker)

    assert breaker.is_open
    assert not breaker.stops_intake

    probe = asyncio.create_task(answer(breaker))
    await until(lambda: breaker.stops_intake)
    probe.cancel()
    await until(lambda: not breaker.stops_intake)

    assert breaker.is_open


async def test_busy_keys_do_not_open_it() -> None:
    """One key's trouble is no one else's."""
    breaker = Breaker(threshold=1)
    await open_up(breaker, KeyBusy, times=10)
    assert not breaker.is_open
