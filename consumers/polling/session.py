"""One consumer session, from joining the group to leaving it.

A rebalance runs in a task of Kafka's client while a poll may be running. A session follows these rules:

* ``on_revoked`` closes intake first, then drains, commits, and drops the rest. ``on_assigned`` begins a new epoch.
* A poll that runs during a rebalance may return records of the old assignment or of the new one, and there is no way
  to tell. They are dropped, and their partitions are read again from the committed offset. Nothing is lost and nothing
  is handled twice: a tracker takes no offset a second time.
* A poll of a living consumer is never cancelled: the client would never again notice that polling has stopped. When
  the session is over, the poll is left running and ends with its consumer.
* A consumer that has stalled is left like any other: drain, commit, drop, leave. Each session has its own assignment,
  lanes and committer, so nothing of an old session reaches the next one.
"""

import asyncio
from collections.abc import Sequence

from consumers.handling.dispatch import Handler
from consumers.intake import Intake
from consumers.polling.assignment import Assignment
from consumers.polling.committing import Committer
from consumers.polling.flow_control import FlowControl
from consumers.polling.head_of_line import HeadOfLine
from consumers.polling.lanes import Capacity
from consumers.polling.limits import ConsumerLimits
from consumers.polling.membership import Membership
from consumers.polling.positions import Positions
from consumers.polling.reading import Reader
from consumers.polling.rebalancing import Rebalancer
from consumers.polling.reporting import Reporter
from consumers.polling.watchdog import Progress
from consumers.metrics import ConsumerMetrics, PartitionPosition
from consumers.ports import IntakeBreaker, RecordSource


class ConsumerSession:
    """Joins the group, reads until ``stop``, and leaves. It runs once."""

    def __init__(
        self,
        source: RecordSource,
        membership: Membership,
        intake: Intake,
        handle: Handler,
        metrics: ConsumerMetrics,
        breakers: Sequence[IntakeBreaker],
        limits: ConsumerLimits,
    ) -> None:
        self._source = source
        self._membership = membership
        self._report_every_s = limits.report_every_s
        self._over = asyncio.Event()

        self._assignment = Assignment()
        capacity = Capacity(limits.max_records, limits.max_bytes)
        committer = Committer(source, limits.commit_interval_s, limits.commit_timeout_s)
        self._flow = FlowControl(
            source,
            self._assignment,
            capacity,
            breakers,
            limits.max_read_ahead,
        )
        self._reader = Reader(
            source,
            intake,
            handle,
            self._assignment,
            capacity,
            committer,
            self._flow,
            metrics,
            limits,
            self._over,
        )
        self._lanes = self._reader.lanes
        self._rebalancer = Rebalancer(
            self._assignment,
            self._lanes,
            committer,
            self._flow,
            metrics,
            limits.drain_s,
            self._over,
        )

        self._positions = Positions(source, self._assignment, committer.committed)
        self._reporter = Reporter(
            self._positions,
            HeadOfLine(limits.head_of_line_s),
            self._lanes,
            self._flow,
            metrics,
        )

    @property
    def ready(self) -> bool:
        """Whether the group was joined and the session is not over."""
        return self._rebalancer.has_joined and not self._over.is_set()

    @property
    def halted(self) -> bool:
        """Whether a breaker is open."""
        return self._flow.halted

    def positions(self) -> Sequence[PartitionPosition]:
        """Return the position of each owned partition."""
        return self._positions.all()

    def progress(self) -> Progress:
        """Return what the watchdog compares."""
        return Progress(
            assigned=self._assignment.intake_open.is_set(),
            polls=self._reader.polls + self._membership.attempts,
            answers=self._positions.answers,
            positions=self._positions.all(),
            paused=self._flow.paused,
        )

    async def is_reachable(self) -> bool:
        """Ask Kafka whether it serves the partitions of this session."""
        return await self._source.is_reachable(self._assignment.partitions)

    def stop(self) -> None:
        """End the session: ``run`` drains, commits, leaves and returns."""
        self._over.set()

    async def run(self) -> None:
        """Consume until ``stop``, and wait for Kafka while it is away. Raises whatever a bug raised."""
        reporting = asyncio.create_task(self._reporter.run(self._report_every_s))
        try:
            if await self._membership.join(self._rebalancer, self._over):
                await self._read(reporting)
        finally:
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)

    async def _read(self, reporting: asyncio.Task[None]) -> None:
        try:
            while not self._over.is_set():
                self._raise_failure(reporting)
                await self._reader.turn()

            await self._rebalancer.release()
        finally:
            self.stop()
            await self._lanes.drop()
            await self._membership.leave()
            self._reader.close()

    def _raise_failure(self, reporting: asyncio.Task[None]) -> None:
        self._rebalancer.raise_failure()
        self._lanes.raise_failure()
        if reporting.done():
            reporting.result()
