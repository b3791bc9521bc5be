"""Reads the assigned partitions, one poll at a time, and has each record handled once."""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from consumers.handling.dispatch import Handler
from consumers.intake import Delivery, Intake
from consumers.polling.assignment import Assignment
from consumers.polling.committing import Committer
from consumers.polling.flow_control import FlowControl
from consumers.polling.lanes import Capacity, Lanes
from consumers.polling.limits import ConsumerLimits
from consumers.polling.offset_tracker import Ticket
from consumers.polling.racing import finishes_before, happens_within
from consumers.metrics import ConsumerMetrics
from consumers.ports import GroupRefused, KafkaUnavailable, Partition, Record, RecordSource

logger = logging.getLogger(__name__)


class InFlight(NamedTuple):
    """A delivery that is being handled or waits for it, and the ticket of its offset."""

    delivery: Delivery
    ticket: Ticket


class Reader:
    """Polls, enqueues the records in lanes, and starts commits, until ``over``. ``polls`` counts polls that ended."""

    def __init__(
        self,
        source: RecordSource,
        intake: Intake,
        handle: Handler,
        assignment: Assignment,
        capacity: Capacity,
        committer: Committer,
        flow: FlowControl,
        metrics: ConsumerMetrics,
        limits: ConsumerLimits,
        over: asyncio.Event,
    ) -> None:
        self.polls = 0
        self.lanes = Lanes(self._handle_delivery, capacity)

        self._source = source
        self._intake = intake
        self._handle = handle
        self._assignment = assignment
        self._committer = committer
        self._flow = flow
        self._metrics = metrics
        self._limits = limits
        self._over = over

        self._poll: asyncio.Task[Sequence[Record]] | None = None
        self._to_read_again = False
        self._epoch_begun = 0

    async def turn(self) -> None:
        """Poll once, and commit if a commit is due. Without partitions, wait for them.

        Once the group refuses this consumer, the session is over.
        """
        epoch = self._assignment.epoch
        try:
            if self._assignment.intake_open.is_set():
                await self._read(epoch)
            else:
                await self._wait_for_partitions()
        except GroupRefused:
            logger.error("Kafka refuses the membership in the group: joining it anew")
            self._over.set()
        except KafkaUnavailable:
            logger.warning("Kafka is away: trying again")
            await happens_within(self._over, self._limits.retry_s)

        if self._assignment.is_current(epoch):
            self._committer.start_if_due(self._assignment.watermarks())

    def close(self) -> None:
        """Cancel the poll that was left running. Its consumer must be gone."""
        if self._poll is not None:
            self._poll.cancel()

    async def _wait_for_partitions(self) -> None:
        """Wait a little. The client keeps the error of a join until somebody asks for it, and does not try again."""
        await self._source.check_membership()
        await happens_within(self._assignment.intake_open, self._limits.poll_ms / 1000)

    async def _read(self, epoch: int) -> None:
        await self._seek_back(epoch)
        await self._begin_at_committed(epoch)
        await self._begin_new_logs(epoch)

        self._flow.update()

        try:
            records = await self._poll_records()
        finally:
            # Across a rebalance nobody can tell which assignment a poll has moved, even if it failed.
            self._to_read_again = not self._assignment.is_current(epoch)

        if self._to_read_again:
            return

        self._enqueue(records)
        await self._skip_gaps(epoch)

    async def _seek_back(self, epoch: int) -> None:
        """Read from the committed offsets what a poll may have moved unseen."""
        if self._to_read_again:
            await self._source.seek_to_committed(frozenset(self._assignment.partitions))
            self._to_read_again = not self._assignment.is_current(epoch)

    async def _begin_at_committed(self, epoch: int) -> None:
        """Expect no record below the committed offsets. If one comes, the log has gone backwards since the commit."""
        if self._epoch_begun == epoch:
            return

        topic_ids = await self._source.topic_ids()
        committed = await self._source.committed(list(self._assignment.partitions))
        if self._assignment.is_current(epoch):
            self._assignment.note_topics(topic_ids)
            for partition, offset in committed.items():
                self._assignment.trackers[partition].skip_to(offset)
            self._epoch_begun = epoch

    async def _begin_new_logs(self, epoch: int) -> None:
        """Go to the beginning of the partitions that have another log by now."""
        if not self._assignment.outdated:
            return

        topic_ids = await self._source.topic_ids()
        beginnings = await self._source.seek_to_beginning(frozenset(self._assignment.outdated))
        if self._assignment.is_current(epoch):
            for partition, offset in beginnings.items():
                self._begin_log(partition, offset)
            self._assignment.note_topics(topic_ids)

    def _begin_log(self, partition: Partition, offset: int) -> None:
        """Track another log, from ``offset`` on. Its watermark is committed, though it may be lower."""
        expected = self._assignment.trackers[partition].position
        self._assignment.begin_log(partition, offset)
        self._committer.forget(partition)
        self._metrics.log_replaced(partition.topic)

        fields = {"topic": partition.topic, "partition": partition.number, "expected": expected, "offset": offset}
        logger.error("a log went backwards or was replaced: it is read from its beginning", extra=fields)

    async def _poll_records(self) -> Sequence[Record]:
        """Return the records of one poll, or none if the session is over first."""
        limits = self._limits
        wait_ms = limits.poll_when_full_ms if self._flow.may_resume_soon else limits.poll_ms
        max_records = max(1, self.lanes.capacity.free)

        self._poll = asyncio.create_task(self._source.poll(wait_ms, max_records))
        if not await finishes_before(self._poll, self._over):
            return ()

        self.polls += 1

        return self._poll.result()

    def _enqueue(self, records: Sequence[Record]) -> None:
        for record in records:
            self._notice_fall(record.topic_partition, record.offset)
            ticket = self._assignment.track(record)
            if ticket is not None:
                delivery = self._intake.receive(record)
                lane = (record.topic_partition, delivery.lane)
                self.lanes.put(lane, InFlight(delivery, ticket), record.size)

    def _notice_fall(self, partition: Partition, offset: int) -> None:
        """Begin another log if an offset comes that is not expected: the client never returns one twice by itself."""
        tracker = self._assignment.trackers.get(partition)
        if tracker is not None and tracker.has_passed(offset):
            self._begin_log(partition, offset)

    async def _handle_delivery(self, in_flight: InFlight) -> None:
        delivery, ticket = in_flight
        await self._handle(delivery)
        self._assignment.finish(delivery.record.topic_partition, ticket)

    async def _skip_gaps(self, epoch: int) -> None:
        """Skip offsets that hold no record. Otherwise a marker at the end would look like lag for ever."""
        if not self._committer.is_due:
            return

        for partition in list(self._assignment.partitions):
            position = await self._source.position(partition)
            if position is not None and self._assignment.is_current(epoch):
                self._notice_fall(partition, position)
                tracker = self._assignment.trackers[partition]
                tracker.skip_to(position)
