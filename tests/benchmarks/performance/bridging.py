"""The consumer alone, and a bare loop of the same calls, in one process without a Temporal worker (P5).

The benchmark sends it commands through ``peers``. The consumer is composed as the real command composes it, and an
interceptor of its client times the calls.
"""

import asyncio
import os
import time
import uuid
from contextlib import AsyncExitStack
from typing import Any, Final

import uvloop
from aiokafka import AIOKafkaProducer
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    StartWorkflowInput,
    WorkflowHandle,
)

from activities.codes import CodeKeys
from activities.pseudonyms import Pseudonyms
from consumers.handling.dead_lettering import DeadLetterBreaker
from consumers.decode import ReceivedRequest, ReceivedSubmission, decode_request, decode_submission
from consumers.gateway.temporal import TemporalGateway
from consumers.polling.loop import ConsumerLoop
from consumers.ports import Record, utc_now
from signin_worker import build_consumer, dead_letter_limits
from tests.benchmarks.performance.peers import serve
from tests.fakes.inbound import record, request_data, submission_data
from utils.prometheus import Metrics
from utils.settings.loading import Settings, load_settings
from utils.temporal.client import connect
from utils.wiring import Wiring

_MAILBOXES: Final = 1_000
_READY_WITHIN_S: Final = 30.0
_DONE_WITHIN_S: Final = 60.0
_EVERY_S: Final = 0.01
_CLIENT: Final = {"ip": "203.0.113.7", "user_agent": "Mozilla/5.0 Firefox/140.0", "locale": "en-GB"}


class CallTimes(Interceptor):
    """Records when each call began and how long it took."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, float]] = []

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        """Wrap the client."""
        return _Timing(next, self.calls)

    def summary(self) -> dict[str, Any]:
        """Return the rate from the first call to the last, and how long each call took."""
        begun = min(at for at, _ in self.calls)
        ended = max(at + took for at, took in self.calls)
        return {
            "per_s": len(self.calls) / (ended - begun),
            "took_s": [took for _, took in self.calls],
        }


class _Timing(OutboundInterceptor):
    def __init__(self, next: OutboundInterceptor, calls: list[tuple[float, float]]) -> None:
        super().__init__(next)
        self._calls = calls

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        begun = time.perf_counter()
        handle = await super().start_workflow(input)
        self._calls.append((begun, time.perf_counter() - begun))
        return handle


class Bridging:
    """The commands that the benchmark sends to this process."""

    def __init__(self, settings: Settings, client: Client, times: CallTimes) -> None:
        self._settings = settings
        self._client = client
        self._times = times
        self._exits = AsyncExitStack()

    async def start(self) -> None:
        """Start the consumer; return once it has its partitions."""
        settings = self._settings
        rate = DeadLetterBreaker(dead_letter_limits(settings))
        self._consumer: ConsumerLoop = build_consumer(
            Wiring(settings), settings.policy(), self._client, Metrics(), rate, self._exits
        )
        self._consuming = asyncio.create_task(self._consumer.run())
        self._producer = AIOKafkaProducer(bootstrap_servers=",".join(settings.kafka.bootstrap_servers))
        await self._producer.start()

        async with asyncio.timeout(_READY_WITHIN_S):
            while not self._consumer.ready:
                await asyncio.sleep(_EVERY_S)

    async def bridge(self, kind: str, events: int) -> dict[str, Any]:
        """Put ``events`` events into Kafka at once, and let the consumer pass them on to Temporal."""
        self._times.calls.clear()
        for number in range(events):
            event = self._record(kind, number)
            await self._producer.send(event.topic, event.value, key=event.key)

        async with asyncio.timeout(_DONE_WITHIN_S):
            while len(self._times.calls) < events:
                await asyncio.sleep(_EVERY_S)

        return self._times.summary()

    async def loop(self, kind: str, callers: int, events: int) -> dict[str, Any]:
        """Make the same calls directly, from ``callers`` concurrent callers."""
        settings = self._settings
        gateway = TemporalGateway(
            self._client,
            settings.temporal.task_queue,
            settings.policy(),
            Pseudonyms(settings.keys.account.get_secret_value()),
            CodeKeys(settings.keys.code.get_secret_value()),
        )
        decode = decode_request if kind == "starts" else decode_submission
        self._times.calls.clear()

        async def call_on(first: int) -> None:
            for number in range(first, events, callers):
                content = decode(self._record(kind, number), utc_now())
                if isinstance(content, ReceivedRequest):
                    await gateway.start(content)
                elif isinstance(content, ReceivedSubmission):
                    await gateway.submit(content)

        await asyncio.gather(*map(call_on, range(callers)))

        return self._times.summary()

    async def stop(self) -> None:
        """End the consumer."""
        self._consumer.stop()
        await self._consuming
        await self._producer.stop()
        await self._exits.aclose()

    def _record(self, kind: str, number: int) -> Record:
        email = f"ada{number % _MAILBOXES}@example.com"
        kafka = self._settings.kafka
        if kind == "starts":
            data = request_data(signin_id=uuid.uuid4().hex, email=email, client=_CLIENT)
            return record(kafka.requested_topic, data)
        return record(kafka.submitted_topic, submission_data(submission_id=uuid.uuid4().hex, email=email))


async def main() -> None:
    """Serve commands until stdin is closed."""
    settings = load_settings(os.environ, lambda _: None)
    times = CallTimes()
    plain = await connect(settings.keys.payload.get_secret_value(), retries=False)
    service = plain.service_client
    converter = plain.data_converter
    client = Client(service, namespace=plain.namespace, data_converter=converter, interceptors=[times])
    bridging = Bridging(settings, client, times)
    await bridging.start()

    try:
        await serve({"bridge": bridging.bridge, "loop": bridging.loop})
    finally:
        await bridging.stop()


if __name__ == "__main__":
    uvloop.run(main())
