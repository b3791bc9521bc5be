"""The loop that owns the record source. It polls; lanes order, trackers count, the committer commits.

A rebalance runs in a task of Kafka's client while a poll may be under way, so the loop goes by these rules:

* ``on_revoked`` closes intake first, then drains, commits, drops. ``on_assigned`` begins a new epoch.
* A poll that was under way during a rebalance may bring records of the old assignment or of the new one; nobody can
  tell. They are dropped, and their partitions are rewound to the committed offset before the next poll. Nothing is
  lost by that, and nothing handled twice: a tracker takes no offset a second time.
* No poll of a consumer that lives is ever cancelled: the client would never again notice that polling has stopped. At
  the end, or when the consumer has stalled, the poll is left to itself, and ends with its consumer.
* A consumer that has stalled is left as at the end: drain, commit, drop, leave. The next one begins a new epoch.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from consumers.polling.assignment import Assignment
from consumers.polling.committing import Committer
from consumers.handling.dispatch import Handler
from consumers.polling.reporting import Display, Work
from consumers.polling.fence import Fence
from consumers.polling.head_of_line import HeadOfLine
from consumers.intake import Intake
from consumers.polling.lanes import Lanes
from consumers.ports import ConsumerMetrics, KafkaUnavailable, Partition, PartitionPosition, Record
from consumers.ports import RecordSource, Switch
from consumers.polling.positions import Positions
from consumers.polling.racing import ends_before, happens_within
from consumers.polling.pausing import Steering
from consumers.polling.watchdog import Symptom, Vitals, Watchdog, until_stalled

logger = logging.getLogger(__name__)

_LONGEST_START_WAIT_S: Final = 10.0


@dataclass(frozen=True)
class LoopLimits:
    """Bounds of the loop. ``records`` of different keys are worked on side by side, others may queue behind them.

    ``span``: how far one partition is read ahead of its watermark: half of what may queue, so that a flood of one key
    stops its own partition first.
    """

    records: int = 512
    bytes: int = 16 * 1024 * 1024
    span: int = 4_096
    poll_ms: int = 200
    poll_when_full_ms: int = 20
    drain_s: float = 5.0
    commit_interval_s: float = 1.0
    commit_timeout_s: float = 5.0
    observe_every_s: float = 1.0
    retry_s: float = 1.0
    stop_s: float = 5.0
    head_of_line_s: float = 60.0
    stall_s: float = 50.0


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
        self._lanes: Lanes[Work] = Lanes(self._work, limits.records, limits.bytes)
        self._committer = Committer(source, limits.commit_interval_s, limits.commit_timeout_s)
        self._steering = Steering(source, self._assignment, switches, limits.span)
        self._positions = Positions(source, self._assignment, self._committer.committed)
        self._display = Display(
            self._positions, HeadOfLine(limits.head_of_line_s), self._lanes, metrics, lambda: self.halted
        )
        self._watchdog = Watchdog(limits.stall_s)
        self._owned = asyncio.Event()
        self._over = asyncio.Event()  # for this consumer
        self._stopping = asyncio.Event()
        self._settling = asyncio.Lock()
        self._to_rewind: set[Partition] = set()
        self._joined = False
        self._polls = 0
        self._poll: asyncio.Task[Sequence[Record]] | None = None
        self._left_behind: set[asyncio.Task[None]] = set()
        self._failure: Exception | None = None

    @property
    def ready(self) -> bool:
        """Whether the group was joined and the end is not near."""
        return self._joined and not self._stopping.is_set()

    @property
    def is_well(self) -> bool:
        """Whether Kafka answers and the consumer gets on."""
        return self._watchdog.is_well

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
        return self._positions.all()

    def stop(self) -> None:
        """Ask ``run`` to drain, commit and return."""
        self._stopping.set()
        self._over.set()

    async def run(self) -> None:
        """Consume until ``stop``; wait for Kafka where it is away.

        Raises ``ConsumerStalled`` if a rebuilt consumer stalls too, and whatever a bug raised.
        """
        showing = asyncio.create_task(self._display.run(self._limits.observe_every_s))
        try:
            while not self._stopping.is_set():
                await self._consume(showing)
        finally:
            self._stopping.set()
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)

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

    async def _consume(self, showing: asyncio.Task[None]) -> None:
        """Read with one consumer until ``stop``, or until it has stalled."""
        self._watchdog.begin()
        fence, guard = Fence(self), asyncio.create_task(self._stalls())
        guard.add_done_callback(lambda _: self._over.set())
        try:
            if await self._start(fence):
                await self._read(showing)
        finally:
            fence.close()
            guard.cancel()
        if guard.done() and not self._stopping.is_set():
            self._rebuild(guard.result())

    def _rebuild(self, stall: Symptom) -> None:
        logger.error("the consumer has stalled, though Kafka answers", extra=stall.as_log())
        self._watchdog.rebuild(stall)
        self._metrics.rebuilt()
        self._over.clear()

    async def _start(self, fence: Fence) -> bool:
        wait_s = self._limits.retry_s
        while not self._over.is_set():
            self._polls += 1
            starting = asyncio.create_task(self._source.start(fence))
            try:
                if await ends_before(self._over, starting):
                    starting.result()
                    return True
                starting.cancel()
                await self._part_with(starting)
            except KafkaUnavailable:
                logger.warning("waiting for Kafka")
                await self._rest(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_START_WAIT_S)
        return False

    async def _read(self, showing: asyncio.Task[None]) -> None:
        try:
            while not self._over.is_set():
                self._raise_failure(showing)
                await self._turn()
            self._owned.clear()
            await self._settle()
        finally:
            await self._leave()

    async def _turn(self) -> None:
        """Poll once, and commit if it is time."""
        if not self._owned.is_set():
            await happens_within(self._limits.poll_ms / 1000, self._owned)
            return
        epoch = self._assignment.epoch
        try:
            await self._rewind()
            self._steering.steer(self._lanes)
            records = await self._polled()
            if not self._is_current(epoch):
                self._to_rewind.update(record.topic_partition for record in records)
                return
            self._take(records)
            await self._pass_gaps(epoch)
        except KafkaUnavailable:
            logger.warning("Kafka is away: trying again")
            await self._rest(self._limits.retry_s)
        if self._is_current(epoch):
            self._committer.begin(self._assignment.watermarks())

    async def _polled(self) -> Sequence[Record]:
        """Return what a poll brings; nothing if the end comes first."""
        wait_ms = self._limits.poll_when_full_ms if self._steering.looks_soon else self._limits.poll_ms
        self._poll = asyncio.create_task(self._source.poll(wait_ms, max(1, self._lanes.room)))
        if not await ends_before(self._over, self._poll):
            return ()
        self._polls += 1
        return self._poll.result()

    async def _rewind(self) -> None:
        if self._to_rewind:
            await self._source.rewind(frozenset(self._to_rewind))
            self._to_rewind.clear()

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            ticket = self._assignment.track(record, time.time())
            if ticket is not None:
                delivery = self._intake.receive(record)
                self._lanes.put((record.topic_partition, delivery.lane), (delivery, ticket), record.size)

    async def _work(self, work: Work) -> None:
        delivery, ticket = work
        await self._handle(delivery)
        self._assignment.finish(delivery.record.topic_partition, ticket)

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
        self._joined = False
        self._to_rewind.clear()
        await self._lanes.drop()
        await self._part_with(asyncio.create_task(self._source.stop()))
        if self._poll is not None:
            self._poll.cancel()  # its consumer is gone

    async def _part_with(self, parting: asyncio.Task[None]) -> None:
        """Wait for the end of a consumer, but not for long: what is left of it ends by itself."""
        self._left_behind.add(parting)
        parting.add_done_callback(self._left_behind.discard)
        done, _ = await asyncio.wait({parting}, timeout=self._limits.stop_s)
        try:
            if done and not parting.cancelled():
                return parting.result()
        except KafkaUnavailable:
            pass
        logger.warning("Kafka was not told that this consumer leaves")

    async def _stalls(self) -> Symptom:
        every_s = self._limits.observe_every_s
        return await until_stalled(
            self._watchdog, self._vitals, lambda: self._source.is_reachable(self.assigned), every_s
        )

    def _vitals(self) -> Vitals:
        told, paused = self._positions.told, self._steering.paused
        return Vitals(self._owned.is_set(), self._polls, told, self.positions(), paused)

    async def _surely(self, step: Callable[[], Awaitable[None]]) -> None:
        """Keep an error for the loop: Kafka's client would swallow it."""
        try:
            await step()
        except Exception as error:
            self._failure = error

    def _raise_failure(self, showing: asyncio.Task[None]) -> None:
        if self._failure is not None:
            raise self._failure
        self._lanes.raise_failure()
        if showing.done():
            showing.result()

    async def _rest(self, seconds: float) -> None:
        await happens_within(seconds, self._over)
