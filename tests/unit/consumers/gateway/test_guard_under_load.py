"""The guarded gateway under a backlog, in front of servers of scripted capacity, in virtual time."""

import asyncio
import random
from collections.abc import Callable
from statistics import median

import pytest

from consumers.decode import ReceivedRequest, decode_request
from consumers.gateway.breaker import Breaker
from consumers.gateway.guard import GuardedGateway
from consumers.gateway.limiter import AdaptiveLimit
from consumers.outcomes import NotNow
from consumers.ports import utc_now
from tests.fakes.busy_server import BusyServer
from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.fakes.inbound import request_record
from tests.fakes.virtual_time import in_virtual_time, loop_time

WARM_UP_S = 10
MEASURED_S = 20


def request() -> ReceivedRequest:
    """Return a request as decoded."""
    content = decode_request(request_record(), utc_now())
    assert isinstance(content, ReceivedRequest)
    return content


class Backlog:
    """Many callers who call one time after another, and a second later again when they are throttled."""

    def __init__(self, gateway: GuardedGateway | BusyServer, callers: int = 200) -> None:
        self._gateway = gateway
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
                await self._gateway.start(self._content)
            except NotNow as error:
                await asyncio.sleep(error.min_wait_s)


def press_upon(server: BusyServer, maximum: int = 64) -> FakeConsumerMetrics:
    """Press until the limit has settled, then let the server measure."""

    async def press() -> FakeConsumerMetrics:
        metrics = FakeConsumerMetrics()
        limit = AdaptiveLimit(maximum)
        backlog = Backlog(GuardedGateway(server, Breaker(), metrics, limit, loop_time))

        await backlog.press(WARM_UP_S)
        server.forget()
        await backlog.press(MEASURED_S)

        return metrics

    return in_virtual_time(press())


def constant(service_s: float) -> Callable[[], float]:
    """Return a service time that is the same for every call."""
    return lambda: service_s


def scattered(service_s: float) -> Callable[[], float]:
    """Return service times that differ much (exponential), ``service_s`` in the mean."""
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
    """At least 90 % of the server's rate, at a fraction of the latency of 64 calls at any time."""
    server = BusyServer(capacity, service_s)
    flooded = BusyServer(capacity, service_s)

    press_upon(server)
    in_virtual_time(Backlog(flooded, callers=64).press(MEASURED_S))

    assert len(server.latencies) >= 0.9 * len(flooded.latencies)
    assert server.max_under_way <= max(16, 4 * capacity)

    if capacity <= 4:
        assert median(server.latencies) <= 0.25 * median(flooded.latencies)


def test_it_follows_a_server_that_becomes_slower() -> None:
    """Calls that take ten times as long are no congestion: as many of them as before are right."""
    server = BusyServer(16, constant(0.05))

    async def press() -> list[float]:
        guarded = GuardedGateway(server, Breaker(), FakeConsumerMetrics(), AdaptiveLimit(), loop_time)
        backlog = Backlog(guarded)
        rates = []

        for service_s in (0.05, 0.5):
            server.service_s = constant(service_s)
            await backlog.press(60)  # time enough to measure the base again
            server.forget()
            await backlog.press(MEASURED_S)
            rates.append(len(server.latencies) / MEASURED_S)

        return rates

    fast, slow = in_virtual_time(press())

    assert fast >= 0.9 * 16 / 0.05
    assert slow >= 0.9 * 16 / 0.5


def test_a_server_with_a_rate_limit_is_used_almost_fully() -> None:
    """Since everybody waits a second after a refusal, few calls are refused."""
    server = BusyServer(16, constant(0.005), per_second=50)
    press_upon(server)
    assert len(server.latencies) >= 0.9 * 50 * MEASURED_S
    assert server.refused <= 4 * MEASURED_S


def test_the_maximum_is_kept_however_much_the_server_can_do() -> None:
    """The limit is never above ``SIGNIN_CONSUMER__MAX_CALLS``."""
    server = BusyServer(100, constant(0.100))
    metrics = press_upon(server, maximum=8)
    assert server.max_under_way == 8
    assert max(metrics.limits) == 8
