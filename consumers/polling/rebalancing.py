"""Takes and releases partitions, as Kafka assigns and revokes them."""

import asyncio
import logging
from collections.abc import Collection
from typing import Any

from consumers.polling.assignment import Assignment
from consumers.polling.committing import Committer
from consumers.polling.flow_control import FlowControl
from consumers.polling.lanes import Lanes
from consumers.metrics import ConsumerMetrics
from consumers.ports import Partition

logger = logging.getLogger(__name__)


class Rebalancer:
    """Fulfils ``AssignmentListener`` for one session, until ``over``.

    Kafka's client calls it from a task of its own, perhaps while a poll is running.
    """

    def __init__(
        self,
        assignment: Assignment,
        lanes: Lanes[Any],
        committer: Committer,
        flow: FlowControl,
        metrics: ConsumerMetrics,
        drain_s: float,
        over: asyncio.Event,
    ) -> None:
        self.has_joined = False
        self._assignment = assignment
        self._lanes = lanes
        self._committer = committer
        self._flow = flow
        self._metrics = metrics
        self._drain_s = drain_s
        self._over = over
        self._releasing = asyncio.Lock()
        self._failure: Exception | None = None

    async def on_revoked(self, partitions: Collection[Partition]) -> None:
        """Release all partitions."""
        try:
            await self.release()
        except Exception as error:
            self._failure = error  # Kafka's client would swallow it

    async def on_assigned(self, partitions: Collection[Partition]) -> None:
        """Begin a new epoch with these partitions.

        Nothing is assigned to a session that is over. An abandoned consumer may still be half alive: its
        coordinator can assign partitions after the new consumer has received its assignment.
        """
        if self._assignment.intake_open.is_set():
            await self.on_revoked(self._assignment.partitions)
        if self._over.is_set():
            return

        self._assignment.begin(partitions)
        self._flow.reset()
        self._metrics.rebalanced()
        self.has_joined = True

        names = [f"{topic}/{number}" for topic, number in partitions]
        logger.info("partitions assigned", extra={"partitions": names})

    async def release(self) -> None:
        """Close intake, drain, commit, and drop the rest.

        The lock is never held longer than a drain and one commit may take.
        """
        self._assignment.close_intake()
        async with self._releasing:
            await self._lanes.drain(self._drain_s)
            await self._committer.finish(self._assignment.watermarks())
            await self._lanes.drop()
            self._assignment.end()

    def raise_failure(self) -> None:
        """Raise the error of a revocation, if there was one."""
        if self._failure is not None:
            raise self._failure
