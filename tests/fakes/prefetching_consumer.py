"""aiokafka's own subscription state and fetcher over logs in memory, without the routine that fetches."""

import asyncio
import struct
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import KafkaConnectionError
from aiokafka.record.memory_records import MemoryRecords

from schemas.topics import REQUESTED_TOPIC

P0 = TopicPartition(REQUESTED_TOPIC, 0)
P1 = TopicPartition(REQUESTED_TOPIC, 1)


def at(data: bytes, offset: int) -> bytes:
    """Return a batch that begins at this offset."""
    return struct.pack(">q", offset) + data[8:]


class FakeClient:
    """Answers fetches of one partition. ``down``: those whose leader does not answer."""

    _metadata_max_age_ms = 1_000

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.logs: dict[TopicPartition, list[tuple[int, bytes]]] = {}
        self.cluster = SimpleNamespace(leader_for_partition=lambda _: 0, broker_metadata=lambda _: object())
        self.down: set[TopicPartition] = set()

    def add(self, partition: TopicPartition, first: int, count: int, data: bytes) -> None:
        """Append a batch of ``count`` records that begins at ``first``."""
        self.logs.setdefault(partition, []).append((first + count - 1, at(data, first)))

    def data(self, partition: TopicPartition, offset: int) -> bytes:
        """Return the batches from the one on that holds ``offset``."""
        return b"".join(data for last, data in self.logs.get(partition, []) if last >= offset)

    async def send(self, node: Any, request: Any, group: Any = None) -> Any:
        """Answer a fetch of one partition, as version 4 does."""
        await asyncio.sleep(0)
        [(topic, [(number, offset, _)])] = request.topics
        partition = TopicPartition(topic, number)
        if partition in self.down:
            raise KafkaConnectionError

        end = max((last + 1 for last, _ in self.logs.get(partition, [])), default=0)
        found = (number, 0, end, end, None, self.data(partition, offset))
        return SimpleNamespace(API_VERSION=4, topics=[(topic, [found])])


class FakeCoordinator:
    """Keeps an error until somebody takes it, as aiokafka's coordinator does. Until then it stands still."""

    _heartbeat_task = None
    _commit_refresh_task = None

    def __init__(self) -> None:
        self.error: Exception | None = None

    def check_errors(self) -> None:
        """Raise the error, once."""
        error = self.error
        self.error = None
        if error is not None:
            raise error


class PrefetchingConsumer:
    """Implements what ``Poller`` uses of ``AIOKafkaConsumer``. Tests say when the broker's answers arrive."""

    def __init__(self, client: FakeClient) -> None:
        self._client = client
        self._coordinator = FakeCoordinator()
        self._subscription = SubscriptionState()
        self._subscription.subscribe({REQUESTED_TOPIC})
        self._fetcher = Fetcher(client, self._subscription, isolation_level="read_committed")
        self._fetcher._fetch_task.cancel()

    def prefetch(self) -> None:
        """Let one answer arrive that holds all partitions."""
        assignment = self._subscription.subscription.assignment
        for partition in sorted(assignment.tps):
            offset = assignment.state_value(partition).position
            data = self._client.data(partition, offset)
            if data and partition not in self._fetcher._records:
                records = PartitionRecords(partition, MemoryRecords(data), None, offset, None, None, True, 1)
                self._fetcher._records[partition] = FetchResult(
                    partition, assignment=assignment, partition_records=records, backoff=0.1
                )

        for waiter in list(self._fetcher._fetch_waiters):
            self._fetcher._notify(waiter)

    def assign(self, positions: dict[TopicPartition, int]) -> None:
        """Begin an assignment with these positions."""
        self._fetcher._records.clear()
        self._subscription.assign_from_subscribed(set(positions))
        for partition, offset in positions.items():
            self._subscription.subscription.assignment.state_value(partition).reset_to(offset)

    def assignment(self) -> Any:
        """Return the partitions assigned."""
        return self._subscription.assigned_partitions()

    def paused(self) -> Any:
        """Return the partitions paused."""
        return self._subscription.paused_partitions()

    def pause(self, *partitions: TopicPartition) -> None:
        """Pause partitions."""
        for partition in partitions:
            self._subscription.pause(partition)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Move a position."""
        self._fetcher.seek_to(partition, offset)

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int, max_records: int) -> Any:
        """Return what was prefetched. Raises the coordinator's error."""
        self._coordinator.check_errors()
        with self._subscription.fetch_context():
            return await self._fetcher.fetched_records(partitions, timeout_ms / 1_000, max_records=max_records)

    def position(self, partition: TopicPartition) -> int:
        """Return the offset to read next."""
        offset: int = self._subscription.subscription.assignment.state_value(partition).position
        return offset
