"""A reader over the real poller and aiokafka's own fetcher, across a rebalance."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from consumers.intake import Delivery
from consumers.outcomes import Applied, Outcome, Rejected
from consumers.polling.assignment import Assignment
from consumers.polling.committing import Committer
from consumers.polling.flow_control import FlowControl
from consumers.polling.lanes import Capacity
from consumers.polling.limits import ConsumerLimits
from consumers.polling.reading import Reader
from consumers.ports import Partition, Record
from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.fakes.prefetching_consumer import P0, P1, FakeClient, PrefetchingConsumer
from tests.fakes.raw_batches import batch, unreadable_batch
from utils.kafka.polling import Poller

OWNED = [Partition(*P0), Partition(*P1)]


class Source:
    """The part of ``RecordSource`` that a reader uses. Nothing was ever committed: the beginning is where to resume."""

    def __init__(self, consumer: PrefetchingConsumer) -> None:
        self._consumer = consumer
        self._offsets: dict[Partition, int] = {}

    async def poll(self, timeout_ms: int, max_records: int) -> Sequence[Record]:
        """Poll as ``KafkaSource`` does."""
        return await Poller(self._consumer, 1 << 20).poll(timeout_ms, max_records)

    def pause(self, partitions: Collection[Partition]) -> None:
        """Pause nothing."""

    def resume(self, partitions: Collection[Partition]) -> None:
        """Resume nothing."""

    async def topic_ids(self) -> Mapping[str, bytes]:
        """Return none, like an old broker."""
        return {}

    async def position(self, partition: Partition) -> int:
        """Return the offset to read next."""
        return self._consumer.position(P0 if partition.number == 0 else P1)

    async def seek_to_committed(self, partitions: Collection[Partition]) -> None:
        """Go back to what was committed."""
        for partition in partitions:
            self._consumer.seek(P0 if partition.number == 0 else P1, self._offsets.get(partition, 0))

    async def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Return what was committed."""
        return {partition: self._offsets[partition] for partition in partitions if partition in self._offsets}

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit."""
        self._offsets |= offsets


class EveryRecordOnItsOwn:
    """An intake that gives each record a lane of its own."""

    def receive(self, record: Record) -> Delivery:
        """Return a delivery without content."""
        return Delivery(record, Rejected("schema", "none"), str(record.offset))


async def test_a_poll_that_fails_across_a_rebalance_loses_nothing() -> None:
    """It moved positions of the new assignment: they are read again from the committed offsets."""
    client = FakeClient()
    client.add(P0, 0, 3, batch([b"{}"] * 3))
    client.add(P1, 0, 3, unreadable_batch([b"{}"] * 3))
    consumer = PrefetchingConsumer(client)
    consumer.assign({P0: 0, P1: 0})
    source = Source(consumer)
    assignment = Assignment()
    capacity = Capacity(512, 1 << 24)
    handled: list[tuple[int, int]] = []

    async def handle(delivery: Delivery) -> Outcome:
        handled.append((delivery.record.partition, delivery.record.offset))
        return Applied()

    committer = Committer(source, 0.0, 1)  # type: ignore[arg-type]  # the part of the port that it uses
    flow = FlowControl(source, assignment, capacity, (), 4_096)  # type: ignore[arg-type]  # as above
    limits = ConsumerLimits(poll_ms=100, retry_s=0.001)
    reader = Reader(
        source,  # type: ignore[arg-type]  # as above
        EveryRecordOnItsOwn(),  # type: ignore[arg-type]  # one method suffices
        handle,
        assignment,
        capacity,
        committer,
        flow,
        FakeConsumerMetrics(),
        limits,
        asyncio.Event(),
    )
    assignment.begin(OWNED)
    consumer._subscription.begin_reassignment()
    turn = asyncio.create_task(reader.turn())
    await asyncio.sleep(0.01)

    assignment.close_intake()
    assignment.end()
    consumer.assign({P0: 0, P1: 0})
    assignment.begin(OWNED)
    consumer.prefetch()
    await turn
    for _ in range(4):
        consumer.prefetch()
        await reader.turn()
        await asyncio.sleep(0.01)

    assert sorted(handled) == [(0, 0), (0, 1), (0, 2), (1, 0)]
