"""Deliveries that cannot be applied now are retried."""

import asyncio

import pytest

from consumers.handling.retrying import Backoff, Retrying
from consumers.outcomes import Applied, KeyBusy, Misconfigured, Throttled, Unreachable
from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.fakes.deliveries import dispatch, request
from tests.fakes.gateway import FakeGateway
from tests.fakes.naps import FakeNaps


async def test_not_now_is_tried_again_until_there_is_an_outcome() -> None:
    """Waits double up to the longest, with jitter; after ``Throttled`` the wait is at least a second."""
    gateway = FakeGateway()
    gateway.answers.extend([KeyBusy(), Throttled(), Unreachable(), Misconfigured(), KeyBusy(), None])
    draws = iter([1.0, 1.0, 0.0, 1.0, 1.0])
    backoff = Backoff(0.1, 0.5, lambda: next(draws, 1.0))
    naps = FakeNaps(instant=True)
    metrics = FakeConsumerMetrics()
    handle = Retrying(lambda delivery: dispatch(delivery, gateway), metrics, backoff, naps.sleep)

    assert await handle(request()) == Applied()
    assert naps.taken == [0.1, 1.0, 0.2, 0.5, 0.5]
    assert metrics.postponed == {
        "key_busy": 2,
        "throttled": 1,
        "unreachable": 1,
        "misconfigured": 1,
    }


async def test_a_record_that_takes_long_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The warning names its place and the reason, and nothing of its content."""
    gateway = FakeGateway()
    gateway.answers.extend([KeyBusy() for _ in range(20)])
    sleep = FakeNaps(instant=True).sleep
    handle = Retrying(lambda delivery: dispatch(delivery, gateway), FakeConsumerMetrics(), sleep=sleep)

    await handle(request())
    [line] = caplog.records

    assert line.__dict__["offset"] == 0
    assert line.__dict__["reason"] == "key_busy"


async def test_a_cancellation_ends_the_retries() -> None:
    """A rebalance cancels the records that are still open."""
    gateway = FakeGateway()
    gateway.down = Unreachable
    handle = Retrying(lambda delivery: dispatch(delivery, gateway), FakeConsumerMetrics())

    retrying = asyncio.ensure_future(handle(request()))
    await asyncio.sleep(0)
    retrying.cancel()

    with pytest.raises(asyncio.CancelledError):
        await retrying
