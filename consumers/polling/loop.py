"""Runs consumer sessions one after the other: a consumer that stalls, or that its group refuses, is replaced."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from consumers.handling.dispatch import Handler
from consumers.intake import Intake
from consumers.polling.limits import ConsumerLimits
from consumers.polling.membership import Membership
from consumers.polling.session import ConsumerSession
from consumers.polling.watchdog import Symptom, Watchdog, until_stalled
from consumers.metrics import ConsumerMetrics, PartitionPosition
from consumers.ports import IntakeBreaker, RecordSource

logger = logging.getLogger(__name__)


class ConsumerLoop:
    """Reads both topics until ``stop``."""

    def __init__(
        self,
        source: RecordSource,
        intake: Intake,
        handle: Handler,
        metrics: ConsumerMetrics,
        breakers: Sequence[IntakeBreaker] = (),
        limits: ConsumerLimits | None = None,
    ) -> None:
        limits = limits or ConsumerLimits()
        membership = Membership(source, limits.retry_s, limits.stop_s)

        self._source = source
        self._metrics = metrics
        self._check_every_s = limits.report_every_s
        self._watchdog = Watchdog(limits.stall_s)
        self._stopping = False
        self._new_session = partial(ConsumerSession, source, membership, intake, handle, metrics, breakers, limits)
        self._session = self._new_session()

    @property
    def ready(self) -> bool:
        """Whether the group was joined and the consumer is not about to stop."""
        return self._session.ready

    @property
    def is_well(self) -> bool:
        """Whether Kafka answers and the consumer makes progress."""
        return self._watchdog.is_well

    @property
    def refusal(self) -> str | None:
        """What Kafka refuses until an operator acts, and what to do."""
        return self._source.refusal

    @property
    def halted(self) -> bool:
        """Whether a breaker is open."""
        return self._session.halted

    def positions(self) -> Sequence[PartitionPosition]:
        """Return the position of each owned partition."""
        return self._session.positions()

    def stop(self) -> None:
        """Ask ``run`` to drain, commit and return."""
        self._stopping = True
        self._session.stop()

    async def run(self) -> None:
        """Consume until ``stop``, and wait for Kafka while it is away.

        Raises ``ConsumerStalled`` if a replaced consumer stalls too, and whatever a bug raised.
        """
        try:
            while not self._stopping:
                await self._run_session()
        finally:
            self.stop()

    async def _run_session(self) -> None:
        session = self._session
        self._watchdog.begin()
        watching = asyncio.create_task(self._until_stalled(session))
        watching.add_done_callback(lambda _: session.stop())

        try:
            await session.run()
        finally:
            watching.cancel()

        if self._stopping:
            return
        if watching.done():
            self._rebuild(watching.result())
        self._session = self._new_session()

    async def _until_stalled(self, session: ConsumerSession) -> Symptom:
        return await until_stalled(self._watchdog, session.progress, session.is_reachable, self._check_every_s)

    def _rebuild(self, stall: Symptom) -> None:
        logger.error("the consumer has stalled, though Kafka answers", extra=stall.as_log())
        self._watchdog.rebuild(stall)
        self._metrics.rebuilt()
