"""The loop that owns the record source. It polls; lanes order, trackers count, the committer commits.

A rebalance runs in a task of Kafka's client while a poll may be under way, so the loop goes by these rules:

* ``on_revoked`` closes intake first, then drains, commits, drops. ``on_assigned`` begins a new epoch.
* A poll that was under way during a rebalance may bring records of the old assignment or of the new one; nobody can
  tell. They are dropped, and their partitions are rewound to the committed offset before the next poll. Nothing is
  lost by that, and nothing handled twice: a tracker takes no offset a second time.
* No poll is ever cancelled: the client would never again notice that polling has stopped.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from consumers.assignment import Assignment
from consumers.committing import Committer
from consumers.dispatch import Handler
from consumers.intake import Delivery, Intake
from consumers.lanes import Lanes
from consumers.offset_tracker import Ticket
from consumers.ports import ConsumerMetrics, ConsumerSnapshot, KafkaUnavailable, Partition, PartitionPosition, Record
from consumers.ports import RecordSource, Switch
from consumers.positions import PositionWatch
from consumers.steering import Steering

logger = logging.getLogger(__name__)

_LONGEST_START_WAIT_S: Final = 10.0


@dataclass(frozen=True)
class LoopLimits:
    """Bounds of the loop. ``span``: how far one partition is read ahead of its watermark."""

    records: int = 512
    bytes: int = 16 * 1024 * 1024
    span: int = 10_000
    poll_ms: int = 200
    poll_full_ms: int = 20
    drain_s: float = 5.0
    commit_interval_s: float = 1.0
    commit_timeout_s: float = 5.0
    observe_every_s: float = 1.0
    retry_s: float = 1.0
    stop_s: float = 5.0


_Work = tuple[Delivery, Ticket]


class ConsumerLoop:
    """Reads both topics until ``stop``. Fulfils ``AssignmentListener``."""

    def __init__(
        self,
        source: RecordSource,
        intake: Intake,
        handle: Handler,
        metrics: ConsumerMetrics,
        switches: Sequence[Switch] = (),
        limits: LoopLimits | None = None,
    ) -> None:
        self._source = source
        self._intake = intake
        self._handle = handle
        self._metrics = metrics
        self._limits = limits = limits or LoopLimits()
        self._assignment = Assignment()
        self._lanes: Lanes[_Work] = Lanes(self._work, limits.records, limits.bytes)
        self._committer = Committer(source, limits.commit_interval_s, limits.commit_timeout_s)
        self._steering = Steering(source, self._assignment, switches, limits.span)
        self._watch = PositionWatch(source, self._assignment, self._committer.committed, metrics)
        self._owned = asyncio.Event()
        self._stopping = asyncio.Event()
        self._settling = asyncio.Lock()
        self._to_rewind: set[Partition] = set()
        self._joined = False
        self._failure: Exception | None = None

    @property
    def ready(self) -> bool:
        """Whether the group was joined and the end is not near."""
        return self._joined and not self._stopping.is_set()

    @property
    def halted(self) -> bool:
        """Whether a breaker is open."""
        return self._steering.halted

    @property
    def assigned(self) -> Collection[Partition]:
        """The partitions owned now."""
        return self._assignment.partitions

    def positions(self) -> Sequence[PartitionPosition]:
        """Return how each owned partition stands."""
        return self._watch.positions()

    def stop(self) -> None:
        """Ask ``run`` to drain, commit and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Consume until ``stop``; wait for Kafka where it is away. Raises whatever a bug raised."""
        if not await self._start():
            return
        watch = asyncio.create_task(
            self._watch.run(self._limits.observe_every_s, lambda: self._lanes.in_flight, lambda: self.halted)
        )
        try:
            while not self._stopping.is_set():
                self._raise_failure(watch)
                await self._turn()
            self._owned.clear()
            await self._settle()
        finally:
            self._stopping.set()
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await self._leave()

    async def on_revoked(self, partitions: Collection[Partition]) -> None:
        """Let go of everything: stop intake, drain, commit, drop the rest."""
        self._owned.clear()
        await self._surely(self._settle)

    async def on_assigned(self, partitions: Collection[Partition]) -> None:
        """Begin a new epoch."""
        if self._owned.is_set():
            await self.on_revoked(self.assigned)
        self._assignment.begin(partitions)
        self._steering.forget()
        self._metrics.rebalanced()
        logger.info("partitions assigned", extra={"partitions": [f"{topic}/{number}" for topic, number in partitions]})
        self._joined = True
        self._owned.set()

    async def _start(self) -> bool:
        wait_s = self._limits.retry_s
        while not self._stopping.is_set():
            try:
                await self._source.start(self)
                return True
            except KafkaUnavailable:
                logger.warning("waiting for Kafka")
                await self._rest(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_START_WAIT_S)
        return False

    async def _turn(self) -> None:
        """Poll once, and commit if it is time."""
        if not self._owned.is_set():
            await self._until(self._owned, self._limits.poll_ms / 1000)
            return
        epoch = self._assignment.epoch
        try:
            await self._rewind()
            self._steering.steer(self._lanes)
            wait_ms = self._limits.poll_full_ms if self._steering.looks_soon else self._limits.poll_ms
            records = await self._source.poll(wait_ms, max(1, self._lanes.room))
            if not self._is_current(epoch):
                self._to_rewind.update(record.source for record in records)
                return
            self._take(records)
            await self._pass_gaps(epoch)
        except KafkaUnavailable:
            logger.warning("Kafka is away: trying again")
            await self._rest(self._limits.retry_s)
        if self._is_current(epoch):
            self._committer.begin(self._assignment.watermarks())

    async def _rewind(self) -> None:
        if self._to_rewind:
            await self._source.rewind(frozenset(self._to_rewind))
            self._to_rewind.clear()

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            ticket = self._assignment.track(record, time.time())
            if ticket is not None:
                delivery = self._intake.receive(record)
                self._lanes.put((record.source, delivery.lane), (delivery, ticket), record.size)

    async def _work(self, work: _Work) -> None:
        delivery, ticket = work
        await self._handle(delivery)
        self._assignment.finish(delivery.record.source, ticket)

    async def _pass_gaps(self, epoch: int) -> None:
        """Move over offsets that hold no record: without this, a marker at the end would look like lag for ever."""
        if not self._committer.is_due:
            return
        for partition, tracker in list(self._assignment.trackers.items()):
            position = await self._source.position(partition)
            if position is not None and self._is_current(epoch):
                tracker.skip_to(position)

    def _is_current(self, epoch: int) -> bool:
        return self._owned.is_set() and epoch == self._assignment.epoch

    async def _settle(self) -> None:
        """End the assignment. The lock is never held for longer than draining and one commit may take."""
        async with self._settling:
            await self._lanes.drain(self._limits.drain_s)
            await self._committer.finish(self._assignment.watermarks())
            await self._lanes.drop()
            self._assignment.end()

    async def _leave(self) -> None:
        await self._lanes.drop()
        try:
            async with asyncio.timeout(self._limits.stop_s):
                await self._source.stop()
        except (KafkaUnavailable, TimeoutError):
            logger.warning("Kafka was not told that this consumer leaves")
        self._metrics.observe(ConsumerSnapshot((), 0, self.halted))

    async def _surely(self, step: Callable[[], Awaitable[None]]) -> None:
        """Keep an error for the loop: Kafka's client would swallow it."""
        try:
            await step()
        except Exception as error:
            self._failure = error

    def _raise_failure(self, watch: asyncio.Task[None]) -> None:
        if self._failure is not None:
            raise self._failure
        self._lanes.raise_failure()
        if watch.done():
            watch.result()

    async def _rest(self, seconds: float) -> None:
        await self._until(self._stopping, seconds)

    @staticmethod
    async def _until(event: asyncio.Event, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
