"""What the adaptive limit gets from a real Temporal dev server, compared with fixed numbers of concurrent calls.

Each way of calling is measured in short turns, one after another and again, and they
are compared by their medians. So a machine that is busy with other things is as busy
for each of them.

python -m tests.benchmarks.adaptive_limit [SECONDS_A_TURN] [TURNS]
"""

import asyncio
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Final

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RetryConfig

from activities.codes import CodeKeys
from activities.pseudonyms import Pseudonyms
from consumers.decode import (
    ReceivedRequest,
    ReceivedSubmission,
    decode_request,
    decode_submission,
)
from consumers.gateway.breaker import Breaker
from consumers.gateway.guard import GuardedGateway
from consumers.gateway.temporal import TemporalGateway
from consumers.handling.dispatch import Gateway
from consumers.outcomes import NotNow, Outcome
from consumers.ports import utc_now
from deploy.local.servers.temporal import LocalTemporal
from schemas.policy import Policy
from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.fakes.inbound import request_record, submission_record

FIXED: Final = (1, 2, 4, 8, 16, 32, 64)
BACKLOG: Final = 256

Call = Callable[[Gateway], Awaitable[object]]


@dataclass
class Turns:
    """The results of one way of calling: calls a second of each turn, and the seconds that its calls took."""

    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)


class Timed:
    """A gateway around a gateway. It measures how long Temporal takes for each call."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.latencies: list[float] = []

    async def start(self, request: ReceivedRequest) -> Outcome:
        """Start."""
        return await self._timed(self._gateway.start(request))

    async def submit(self, submission: ReceivedSubmission) -> Outcome:
        """Submit."""
        return await self._timed(self._gateway.submit(submission))

    async def _timed(self, call: Awaitable[Outcome]) -> Outcome:
        started_at = time.perf_counter()
        outcome = await call
        self.latencies.append(time.perf_counter() - started_at)
        return outcome


async def start(gateway: Gateway) -> object:
    """Start a workflow of its own."""
    content = decode_request(request_record(signin_id=uuid.uuid4().hex), utc_now())
    assert isinstance(content, ReceivedRequest)
    return await gateway.start(content)


async def submit(gateway: Gateway) -> object:
    """Signal one of a thousand mailboxes with start."""
    email = f"ada{uuid.uuid4().int % 1000}@example.com"
    content = decode_submission(submission_record(email=email, submission_id=uuid.uuid4().hex), utc_now())
    assert isinstance(content, ReceivedSubmission)
    return await gateway.submit(content)


async def press(call: Call, gateway: Gateway, callers: int, seconds: float) -> int:
    """Let ``callers`` call for so long; return how many calls were answered."""
    ends_at = time.perf_counter() + seconds
    answered = 0

    async def call_on() -> None:
        nonlocal answered
        while time.perf_counter() < ends_at:
            try:
                await call(gateway)
                answered += 1
            except NotNow as error:
                await asyncio.sleep(error.min_wait_s)

    await asyncio.gather(*(call_on() for _ in range(callers)))

    return answered


async def measure(gateway: Gateway, call: Call, seconds: float, turns: int) -> dict[str, Turns]:
    """Measure every way in turns."""
    timed = Timed(gateway)
    metrics = FakeConsumerMetrics()
    guarded = GuardedGateway(timed, Breaker(), metrics)
    ways: dict[str, tuple[Gateway, int]] = {str(number): (timed, number) for number in FIXED}
    ways["adaptive"] = (guarded, BACKLOG)
    results = {way: Turns() for way in ways}

    await press(call, timed, 4, seconds)
    await press(call, guarded, BACKLOG, seconds)

    for _ in range(turns):
        for way, (through, callers) in ways.items():
            timed.latencies.clear()
            started_at = time.perf_counter()
            answered = await press(call, through, callers, seconds)
            results[way].rates.append(answered / (time.perf_counter() - started_at))
            results[way].latencies += timed.latencies

    print(f"limits of the last moves: {metrics.limits[-20:]}")

    return results


def report(name: str, results: dict[str, Turns]) -> None:
    """Print a line for each way."""
    best = max(median(turns.rates) for way, turns in results.items() if way != "adaptive")

    print(f"{name}: calls a second, share of the best fixed number, p50 and p99 in ms")
    for way, turns in results.items():
        rate = median(turns.rates)
        p50_ms = 1e3 * median(turns.latencies)
        p99_ms = 1e3 * quantiles(turns.latencies, n=100)[98]
        print(f"  {way:>8} {rate:7.0f} {rate / best:6.0%} {p50_ms:8.1f} {p99_ms:8.1f}")


async def main(seconds: float, turns: int) -> None:
    """Measure on a server of its own."""
    server = LocalTemporal()
    server.start()

    try:
        gateway = await gateway_to(server)
        for name, call in (("start", start), ("signal with start", submit)):
            report(name, await measure(gateway, call, seconds, turns))
    finally:
        server.stop()


async def gateway_to(server: LocalTemporal) -> TemporalGateway:
    """Return a gateway to a server whose task queues nobody polls."""
    client = await Client.connect(
        server.address,
        data_converter=pydantic_data_converter,
        retry_config=RetryConfig(max_retries=1),
    )
    keys = CodeKeys({"k": bytes(32)})

    return TemporalGateway(client, "nobody", Policy(), Pseudonyms(bytes(32)), keys)


if __name__ == "__main__":
    given = dict(enumerate(sys.argv[1:]))
    asyncio.run(main(float(given.get(0, 2)), int(given.get(1, 5))))
