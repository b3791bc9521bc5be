"""A consumer composed like the real one, with a gateway in memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from activities.pseudonyms import Pseudonyms
from consumers.gateway.breaker import Breaker
from consumers.gateway.guard import GuardedGateway
from consumers.gateway.limiter import AdaptiveLimit
from consumers.handling.dead_lettering import DeadLetterBreaker, DeadLettering, DeadLetterLimits
from consumers.handling.dispatch import AgeLimits, Dispatcher
from consumers.handling.observed import Observed
from consumers.handling.retrying import Backoff, Retrying
from consumers.intake import Intake
from consumers.polling.limits import ConsumerLimits
from consumers.polling.loop import ConsumerLoop
from consumers.ports import DeadLetterWriter, Partition, RecordSource
from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.fakes.dead_letter_writer import FakeDeadLetterWriter
from tests.fakes.gateway import FakeGateway
from tests.fakes.inbound import REQUESTED, SUBMITTED, request_record
from tests.fakes.record_source import FakeBroker, FakeRecordSource
from tests.fakes.waiting import until

REQUESTED_0 = Partition(REQUESTED, 0)
REQUESTED_1 = Partition(REQUESTED, 1)
SUBMITTED_0 = Partition(SUBMITTED, 0)

QUICK = ConsumerLimits(
    poll_ms=5,
    poll_when_full_ms=1,
    commit_interval_s=0.005,
    report_every_s=0.005,
    retry_s=0.001,
    drain_s=5,
    stop_s=0.05,
)

ON_A_BROKER = replace(
    QUICK,
    poll_ms=50,
    retry_s=0.05,
    commit_interval_s=0.1,
    report_every_s=0.2,
    commit_timeout_s=3,
    stop_s=5,
)
"""For a real broker, which needs milliseconds for each answer."""


class ComposedConsumer:
    """A consumer between any record source and a gateway in memory."""

    def __init__(
        self,
        source: RecordSource,
        limits: ConsumerLimits,
        topics: tuple[str, str] = (REQUESTED, SUBMITTED),
        writer: DeadLetterWriter | None = None,
    ) -> None:
        self.gateway = FakeGateway()
        self.writer = FakeDeadLetterWriter()
        self.metrics = FakeConsumerMetrics()
        self.breaker = Breaker(threshold=3, probe_after_s=0.001, longest_probe_s=0.002)
        self.dead_letter_breaker = DeadLetterBreaker(DeadLetterLimits(5))

        guarded = GuardedGateway(self.gateway, self.breaker, self.metrics, AdaptiveLimit(64, minimum=64))
        dispatcher = Dispatcher(guarded, AgeLimits())
        retrying = Retrying(dispatcher, self.metrics, Backoff(0.001, 0.002))
        dead_lettering = DeadLettering(retrying, writer or self.writer, self.dead_letter_breaker, "group")

        self.loop = ConsumerLoop(
            source,
            Intake(*topics, Pseudonyms(bytes(32)), self.metrics),
            Observed(dead_lettering, self.metrics),
            self.metrics,
            (self.breaker, self.dead_letter_breaker),
            limits,
        )

    @property
    def owned(self) -> set[Partition]:
        """The partitions that the loop owns."""
        return {position.partition for position in self.loop.positions()}

    @property
    def paused(self) -> set[Partition]:
        """The partitions that are not read now."""
        return set(self.loop._session.progress().paused)

    @property
    def applied(self) -> list[str]:
        """The sign-ins applied, in order."""
        return [request.event.signin_id for request in self.gateway.requests]

    @property
    def attempts(self) -> list[tuple[str, int]]:
        """The sign-ins and attempts applied, in order."""
        return [(request.event.signin_id, request.event.attempt) for request in self.gateway.requests]

    def block_calls(self) -> None:
        """Let calls wait until ``release_calls``."""
        self.gateway.gate.clear()

    def release_calls(self) -> None:
        """Let all waiting calls go on, and later ones pass."""
        self.gateway.gate.set()

    def release_later_calls(self) -> asyncio.Event:
        """Let later calls pass. The ones that wait now go on once the returned event is set."""
        gate = self.gateway.gate
        self.gateway.gate = asyncio.Event()
        self.gateway.gate.set()

        return gate

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator["asyncio.Task[None]"]:
        """Run the loop, and stop it in the end."""
        run = asyncio.create_task(self.loop.run())
        try:
            yield run
        finally:
            self.loop.stop()
            await run


class Bench(ComposedConsumer):
    """A consumer that reads from a broker in memory."""

    def __init__(self, limits: ConsumerLimits = QUICK, poll_delay_turns: int = 0) -> None:
        self.broker = FakeBroker()
        self.source = FakeRecordSource(self.broker, poll_delay_turns)
        super().__init__(self.source, limits)

    def request(self, number: int, partition: int = 0, gap: int = 0, attempt: int = 1) -> None:
        """Append a request."""
        self.broker.append(request_record(number, partition, attempt=attempt), gap)

    @contextlib.asynccontextmanager
    async def running(self, *partitions: Partition) -> AsyncIterator["asyncio.Task[None]"]:
        """Run the loop with these partitions assigned, and stop it in the end."""
        async with self.working() as run:
            await until(lambda: self.source.started)
            await self.source.assign(*partitions)
            yield run
