"""The breaker, one call at a time. The gateway behind it has its own tests."""

import asyncio

import pytest

from consumers.gateway.breaker import Breaker
from consumers.outcomes import KeyBusy, Misconfigured, NotNow, Throttled, Unreachable
from tests.fakes.naps import FakeNaps
from tests.fakes.waiting import until


async def answer(breaker: Breaker, error: NotNow | None = None) -> None:
    """Make one call that succeeds, or raises ``error``."""
    async with breaker.call():
        if error is not None:
            raise error


async def fail(breaker: Breaker, error: type[NotNow] = Unreachable, times: int = 1) -> None:
    """Make calls that raise an error."""
    for _ in range(times):
        with pytest.raises(error):
            await answer(breaker, error())


async def test_it_opens_after_enough_failures_in_a_row() -> None:
    """An answer in between starts the count again, even one that says to slow down."""
    breaker = Breaker(threshold=3)
    await fail(breaker, times=2)
    await answer(breaker)
    await fail(breaker, times=2)
    await fail(breaker, Throttled)
    await fail(breaker, times=2)

    assert not breaker.is_open

    await fail(breaker)

    assert breaker.is_open


async def test_probes_become_rarer_until_one_is_answered() -> None:
    """The wait doubles up to the longest one. After an answer it is short again."""
    naps = FakeNaps(instant=True)
    breaker = Breaker(threshold=1, probe_after_s=1, longest_probe_s=5, sleep=naps.sleep)

    await fail(breaker, times=5)
    await answer(breaker)
    await fail(breaker, times=2)

    assert naps.taken == [1, 2, 4, 5, 5, 1]


async def test_a_wrong_configuration_opens_it_at_once_and_is_probed_seldom(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An operator has to act, so the log has an error."""
    naps = FakeNaps(instant=True)
    breaker = Breaker(threshold=5, probe_after_s=1, longest_probe_s=60, sleep=naps.sleep)

    await fail(breaker, Misconfigured, times=2)

    assert breaker.is_open
    assert naps.taken == [60]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_another_call_probes_when_the_probe_is_cancelled() -> None:
    """A rebalance may cancel the record whose call is the probe."""
    naps = FakeNaps()
    breaker = Breaker(threshold=1, sleep=naps.sleep)
    await fail(breaker)
    first, second = (asyncio.create_task(answer(breaker)) for _ in range(2))
    await until(lambda: naps.waiting)

    first.cancel()
    await until(first.done)
    await until(lambda: naps.waiting)
    naps.wake()
    await second

    assert not breaker.is_open


async def test_an_open_breaker_without_a_probe_lets_intake_go_on() -> None:
    """A rebalance drops all calls, and reading is the only way to get another one to probe with."""
    breaker = Breaker(threshold=1, sleep=FakeNaps().sleep)
    await fail(breaker)

    assert breaker.is_open
    assert not breaker.stops_intake

    probe = asyncio.create_task(answer(breaker))
    await until(lambda: breaker.stops_intake)
    probe.cancel()
    await until(lambda: not breaker.stops_intake)

    assert breaker.is_open


async def test_busy_keys_do_not_open_it() -> None:
    """A busy key does not mean that Temporal is away."""
    breaker = Breaker(threshold=1)
    await fail(breaker, KeyBusy, times=10)
    assert not breaker.is_open
