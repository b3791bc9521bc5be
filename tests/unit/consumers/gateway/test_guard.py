"""The gateway behind slots and a breaker."""

import asyncio
import time

import pytest

from consumers.decode import (
    ReceivedRequest,
    ReceivedSubmission,
    decode_request,
    decode_submission,
)
from consumers.gateway.breaker import Breaker
from consumers.gateway.guard import GuardedGateway
from consumers.gateway.limiter import AdaptiveLimit
from consumers.handling.dispatch import Gateway
from consumers.outcomes import Applied, KeyBusy, NotNow, Throttled, Unreachable
from consumers.ports import Stopwatch, utc_now
from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.fakes.gateway import FakeGateway
from tests.fakes.inbound import request_record, submission_record
from tests.fakes.naps import FakeNaps
from tests.fakes.virtual_time import in_virtual_time, loop_time
from tests.fakes.waiting import until


def request(number: int = 0) -> ReceivedRequest:
    """Return a request as decoded."""
    content = decode_request(request_record(number), utc_now())
    assert isinstance(content, ReceivedRequest)
    return content


def submission() -> ReceivedSubmission:
    """Return a submission as decoded."""
    content = decode_submission(submission_record(), utc_now())
    assert isinstance(content, ReceivedSubmission)
    return content


def guarded_by(
    gateway: Gateway,
    breaker: Breaker | None = None,
    metrics: FakeConsumerMetrics | None = None,
    stopwatch: Stopwatch = time.monotonic,
    initial: int = 64,
) -> GuardedGateway:
    """Return the gateway under test.

    Once its limit has measured the base, it is ``initial``.
    """
    limit = AdaptiveLimit(initial=initial)
    return GuardedGateway(
        gateway,
        breaker or Breaker(),
        metrics or FakeConsumerMetrics(),
        limit,
        stopwatch,
    )


async def measure_base(gateway: FakeGateway, guarded: GuardedGateway) -> None:
    """Make as many calls as the limit needs to measure its base."""
    for number in range(30):
        await guarded.start(request(1000 + number))
    gateway.calls = 0
    gateway.max_under_way = 0


async def test_calls_beyond_the_limit_wait_and_all_are_made() -> None:
    """The first calls go three at a time, to measure what a call takes on a quiet server."""
    gateway = FakeGateway()
    gateway.turns = 3
    guarded = guarded_by(gateway, initial=5)
    await asyncio.gather(*(guarded.start(request(number)) for number in range(30)))

    assert gateway.max_under_way == 3

    await asyncio.gather(*(guarded.start(request(number)) for number in range(10)))

    assert gateway.max_under_way == 5
    assert len(gateway.requests) == 40


async def test_a_busy_key_holds_no_slot_while_it_waits_and_does_not_shrink_the_limit() -> None:
    """It is retried outside the gateway, and its answer says nothing about the server."""
    gateway = FakeGateway()
    metrics = FakeConsumerMetrics()
    guarded = guarded_by(gateway, metrics=metrics, initial=8)
    await measure_base(gateway, guarded)

    gateway.answers.extend(KeyBusy() for _ in range(50))
    for _ in range(50):
        with pytest.raises(KeyBusy):
            await guarded.submit(submission())

    assert await guarded.start(request()) == Applied()
    assert metrics.limits == [3, 8]


@pytest.mark.parametrize("error", [Throttled, Unreachable])
async def test_an_overloaded_server_halves_the_limit(error: type[NotNow]) -> None:
    """It is halved once for all calls that were under way together."""
    gateway = FakeGateway()
    metrics = FakeConsumerMetrics()
    guarded = guarded_by(gateway, metrics=metrics, initial=8)
    await measure_base(gateway, guarded)

    gateway.gate.clear()
    gateway.answers.extend(error() for _ in range(4))
    calls = [asyncio.create_task(guarded.start(request(number))) for number in range(4)]
    await until(lambda: gateway.under_way == 4)
    gateway.gate.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(answer) for answer in answers] == [error] * 4
    assert metrics.limits == [3, 8, 4]


def test_after_throttled_nobody_calls_for_a_second() -> None:
    """Those who wait keep their order."""

    async def throttled() -> tuple[float, list[str]]:
        gateway = FakeGateway()
        guarded = guarded_by(gateway, stopwatch=loop_time)
        await measure_base(gateway, guarded)
        gateway.requests.clear()
        gateway.answers.append(Throttled())

        with pytest.raises(Throttled):
            await guarded.start(request())

        started_at = loop_time()
        await asyncio.gather(*(guarded.start(request(number)) for number in range(3)))

        return loop_time() - started_at, [each.event.signin_id[-1] for each in gateway.requests]

    waited_s, order = in_virtual_time(throttled())

    assert waited_s == pytest.approx(1.0)
    assert order == ["0", "1", "2"]


async def test_an_answered_probe_lets_all_waiting_calls_go_side_by_side() -> None:
    """While the breaker is open, only one call at a time is made."""
    naps = FakeNaps()
    gateway = FakeGateway()
    breaker = Breaker(threshold=1, probe_after_s=1, sleep=naps.sleep)
    guarded = guarded_by(gateway, breaker)
    await measure_base(gateway, guarded)
    gateway.answers.append(Unreachable())

    with pytest.raises(Unreachable):
        await guarded.start(request())

    gateway.gate.clear()
    calls = [asyncio.create_task(guarded.start(request(number))) for number in range(5)]
    await until(lambda: naps.waiting)

    assert gateway.calls == 1

    naps.wake()
    await until(lambda: gateway.under_way == 1)

    assert not naps.waiting

    gateway.turns = 5
    gateway.gate.set()

    assert await asyncio.gather(*calls) == [Applied()] * 5
    assert not breaker.is_open
    assert gateway.max_under_way > 1


async def test_a_late_answer_closes_the_breaker_before_the_probe_is_due() -> None:
    """A call from before the breaker opened gets its answer, and the sleeping probe goes at once."""
    naps = FakeNaps()
    gateway = FakeGateway()
    breaker = Breaker(threshold=1, sleep=naps.sleep)
    guarded = guarded_by(gateway, breaker)
    await measure_base(gateway, guarded)

    gateway.gate.clear()
    slow = asyncio.create_task(guarded.submit(submission()))
    await until(lambda: gateway.under_way)

    with pytest.raises(Unreachable):
        async with breaker.call():
            raise Unreachable

    probe = asyncio.create_task(guarded.start(request()))
    await until(lambda: naps.waiting)
    gateway.gate.set()

    assert [await slow, await probe] == [Applied(), Applied()]
