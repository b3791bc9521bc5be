"""The gateway behind seats and a breaker, in front of servers that can do only so much."""

import asyncio
import random
from collections.abc import Callable
from statistics import median

import pytest

from consumers.decode import ReceivedRequest, ReceivedSubmission, decode_request, decode_submission
from consumers.gateway.breaker import Breaker
from consumers.gateway.guard import GuardedGateway
from consumers.gateway.limiter import AdaptiveLimit
from consumers.handling.dispatch import Gateway
from consumers.outcomes import Applied, KeyBusy, NotNow, Throttled, Unreachable
from consumers.ports import utc_now
from tests.fakes.busy_server import BusyServer
from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.fakes.gateway import FakeGateway
from tests.fakes.inbound import request_record, submission_record
from tests.fakes.naps import FakeNaps
from tests.fakes.virtual_time import in_virtual_time, loop_time
from tests.fakes.waiting import until

WARM_UP_S, MEASURED_S = 10, 20


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


def guard(gateway: Gateway, breaker: Breaker | None = None, begin_with: int = 64) -> GuardedGateway:
    """Return a gateway whose limit does not matter, unless told otherwise: it looks around first."""
    return GuardedGateway(
        gateway, breaker or Breaker(), FakeConsumerMetrics(), AdaptiveLimit(begin_with=begin_with), loop_time
    )


async def learnt(gateway: FakeGateway, guarded: GuardedGateway) -> None:
    """Make as many calls as it takes until the limit has its base."""
    for number in range(30):
        await guarded.start(request(1000 + number))
    gateway.calls = gateway.most_under_way = 0


class Crowd:
    """Many who call one after the other for ever, as a backlog does, and try again a second later when refused."""

    def __init__(self, guarded: GuardedGateway, callers: int = 200) -> None:
        self._guarded = guarded
        self._callers = callers
        self._content = request()

    async def press(self, seconds: float) -> None:
        """Call for so long."""
        calling = [asyncio.create_task(self._call_for_ever()) for _ in range(self._callers)]
        await asyncio.sleep(seconds)
        for each in calling:
            each.cancel()
        await asyncio.gather(*calling, return_exceptions=True)

    async def _call_for_ever(self) -> None:
        while True:
            try:
                await self._guarded.start(self._content)
            except NotNow as error:
                await asyncio.sleep(error.min_wait_s)


def pressed(server: BusyServer, maximum: int = 64) -> FakeConsumerMetrics:
    """Press upon the server until the limit had time to settle; the server then keeps what is measured after that."""

    async def press() -> FakeConsumerMetrics:
        metrics = FakeConsumerMetrics()
        crowd = Crowd(GuardedGateway(server, Breaker(), metrics, AdaptiveLimit(maximum), loop_time))
        await crowd.press(WARM_UP_S)
        server.latencies.clear()
        server.refused = server.most_under_way = server.under_way = 0
        await crowd.press(MEASURED_S)
        return metrics

    return in_virtual_time(press())


def constant(service_s: float) -> Callable[[], float]:
    """Return a time that is the same for every call."""
    return lambda: service_s


def scattered(service_s: float) -> Callable[[], float]:
    """Return times that differ much (exponential), ``service_s`` in the mean."""
    draw = random.Random(7)
    return lambda: draw.expovariate(1 / service_s)


@pytest.mark.parametrize(
    ("capacity", "service_s"),
    [
        (1, constant(0.020)),
        (4, constant(0.050)),
        (4, scattered(0.050)),
        (16, scattered(0.100)),
        (32, constant(0.200)),
    ],
)
def test_it_gets_what_the_server_can_do_without_making_it_slow(capacity: int, service_s: Callable[[], float]) -> None:
    """At least 90 % of the server's rate, at a fraction of what its calls take when 64 press upon it."""
    server, flooded = BusyServer(capacity, service_s), BusyServer(capacity, service_s)
    pressed(server)
    in_virtual_time(_flood(flooded))
    rate, most = len(server.latencies) / MEASURED_S, len(flooded.latencies) / MEASURED_S

    assert rate >= 0.9 * most
    assert server.most_under_way <= max(16, 4 * capacity)

    if capacity <= 4:
        assert median(server.latencies) <= 0.25 * median(flooded.latencies)


async def _flood(server: BusyServer) -> None:
    """Press without a limit of ours: 64 calls at any time."""

    async def call_for_ever() -> None:
        while True:
            await server.start(request())

    calling = [asyncio.create_task(call_for_ever()) for _ in range(64)]
    await asyncio.sleep(MEASURED_S)
    for each in calling:
        each.cancel()

    await asyncio.gather(*calling, return_exceptions=True)


def test_it_follows_a_server_that_changes() -> None:
    """A server that becomes ten times slower, for each call, is no crowded one: as many calls as before are right."""
    server = BusyServer(16, constant(0.05))

    async def press() -> tuple[float, float]:
        crowd = Crowd(guard(server, begin_with=4))
        rates = []
        for service_s in (0.05, 0.5):
            server.service_s = constant(service_s)
            await crowd.press(60)  # within which it looks again
            server.latencies.clear()
            await crowd.press(MEASURED_S)
            rates.append(len(server.latencies) / MEASURED_S)

        return rates[0], rates[1]

    fast, slow = in_virtual_time(press())

    assert fast >= 0.9 * 16 / 0.05
    assert slow >= 0.9 * 16 / 0.5


def test_a_rate_limit_is_lived_with() -> None:
    """All wait a second after a refusal: nearly the whole rate is had, and few calls are refused."""
    server = BusyServer(16, constant(0.005), per_second=50)
    pressed(server)
    assert len(server.latencies) >= 0.9 * 50 * MEASURED_S
    assert server.refused <= 4 * MEASURED_S


def test_the_maximum_is_kept() -> None:
    """However much the server could do."""
    server = BusyServer(100, constant(0.100))
    metrics = pressed(server, maximum=8)
    assert server.most_under_way == 8
    assert max(metrics.limits) == 8


async def test_calls_beyond_the_limit_wait_and_all_are_made() -> None:
    """The first ones go few at a time, to see what a call takes in calm."""
    gateway = FakeGateway()
    gateway.turns = 3
    guarded = guard(gateway, begin_with=5)
    await asyncio.gather(*(guarded.start(request(number)) for number in range(30)))

    assert gateway.most_under_way == 3

    await asyncio.gather(*(guarded.start(request(number)) for number in range(10)))

    assert gateway.most_under_way == 5
    assert len(gateway.requests) == 40


async def test_a_busy_key_takes_no_seat_while_it_waits_and_shrinks_nothing() -> None:
    """Its next try is made by others than the gateway, and the answer says nothing about the server."""
    gateway, metrics = FakeGateway(), FakeConsumerMetrics()
    guarded = GuardedGateway(gateway, Breaker(), metrics, AdaptiveLimit(begin_with=8))
    await learnt(gateway, guarded)
    gateway.answers.extend(KeyBusy() for _ in range(50))
    for _ in range(50):
        with pytest.raises(KeyBusy):
            await guarded.submit(submission())

    assert await guarded.start(request()) == Applied()
    assert metrics.limits == [3, 8]


@pytest.mark.parametrize("error", [Throttled, Unreachable])
async def test_a_server_that_is_overloaded_is_asked_less(error: type[NotNow]) -> None:
    """Half as much, once for all calls that were under way together."""
    gateway, metrics = FakeGateway(), FakeConsumerMetrics()
    guarded = GuardedGateway(gateway, Breaker(), metrics, AdaptiveLimit(begin_with=8))
    await learnt(gateway, guarded)
    gateway.gate.clear()
    gateway.answers.extend(error() for _ in range(4))
    calls = [asyncio.create_task(guarded.start(request(number))) for number in range(4)]
    await until(lambda: gateway.under_way == 4)
    gateway.gate.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(answer) for answer in answers] == [error] * 4
    assert metrics.limits == [3, 8, 4]


def test_after_slow_down_nobody_calls_for_a_second() -> None:
    """Those who wait keep their order."""

    async def throttled() -> tuple[float, list[str]]:
        gateway, loop = FakeGateway(), asyncio.get_running_loop()
        guarded = guard(gateway)
        await learnt(gateway, guarded)
        gateway.requests.clear()
        gateway.answers.append(Throttled())

        with pytest.raises(Throttled):
            await guarded.start(request())

        begun_at = loop.time()
        await asyncio.gather(*(guarded.start(request(number)) for number in range(3)))

        return loop.time() - begun_at, [each.event.signin_id[-1] for each in gateway.requests]

    waited_s, order = in_virtual_time(throttled())

    assert waited_s == pytest.approx(1.0)
    assert order == ["0", "1", "2"]


async def test_the_first_probe_that_is_answered_lets_the_others_go_side_by_side() -> None:
    """While the breaker is open one call at a time is made."""
    naps, gateway = FakeNaps(), FakeGateway()
    breaker = Breaker(threshold=1, probe_after_s=1, sleep=naps.sleep)
    guarded = guard(gateway, breaker)
    await learnt(gateway, guarded)
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
    assert gateway.most_under_way > 1


async def test_an_answer_that_was_under_way_closes_the_breaker_early() -> None:
    """The sleeping probe does not sleep on."""
    naps, gateway = FakeNaps(), FakeGateway()
    breaker = Breaker(threshold=1, sleep=naps.sleep)
    guarded = guard(gateway, breaker)
    await learnt(gateway, guarded)
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
