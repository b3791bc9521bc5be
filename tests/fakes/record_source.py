"""Kafka in memory: partitions with gaps, one group, eager rebalances."""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from consumers.ports import AssignmentListener, KafkaUnavailable, Partition, PartitionLog, Record


class FakeBroker:
    """Keeps the records and the group's committed offsets. While ``down`` is set, every call raises.

    ``open_transactions``: the offsets of the first records that can't be read yet.
    """

    def __init__(self) -> None:
        self.logs: dict[Partition, list[Record]] = {}
        self.ends: dict[Partition, int] = {}
        self.open_transactions: dict[Partition, int] = {}
        self.topic_ids: dict[str, bytes] = {}
        self.committed: dict[Partition, int] = {}
        self.commits: list[Mapping[Partition, int]] = []
        self.down = False
        self.changed = asyncio.Event()

    def append(self, record: Record, gap: int = 0) -> Record:
        """Append a record ``gap`` offsets after the end, and return it with its offset."""
        partition = record.topic_partition
        placed = replace(record, offset=self.ends.get(partition, 0) + gap)
        self.logs.setdefault(partition, []).append(placed)
        self.use_offsets(partition, gap + 1)
        return placed

    def use_offsets(self, partition: Partition, count: int = 1) -> None:
        """Use offsets without a record, as a transaction marker does."""
        self.ends[partition] = self.ends.get(partition, 0) + count
        self.changed.set()

    def stable_end(self, partition: Partition) -> int:
        """Return where reading stops."""
        end = self.ends.get(partition, 0)
        return min(end, self.open_transactions.get(partition, end))

    def commit_transaction(self, partition: Partition) -> None:
        """End the open transaction. Its marker takes an offset."""
        del self.open_transactions[partition]
        self.use_offsets(partition)

    def replace_log(self, partition: Partition) -> None:
        """Delete the partition with what was committed, and create it again, empty."""
        self.logs.pop(partition, None)
        self.ends.pop(partition, None)
        self.committed.pop(partition, None)
        self.topic_ids[partition.topic] = uuid.uuid4().bytes
        self.changed.set()

    def truncate(self, partition: Partition, end: int) -> None:
        """Lose the records from ``end`` on, as in an unclean election. Commits stay."""
        self.logs[partition] = [record for record in self.logs.get(partition, []) if record.offset < end]
        self.ends[partition] = end
        self.changed.set()

    def accept(self, offsets: Mapping[Partition, int]) -> None:
        """Store a commit."""
        self.committed.update(offsets)
        self.commits.append(dict(offsets))

    def raise_if_down(self) -> None:
        """Raise ``KafkaUnavailable`` while the broker is down."""
        if self.down:
            raise KafkaUnavailable


class FakeRecordSource:
    """Fulfils ``RecordSource`` on a ``FakeBroker``.

    ``poll_delay_turns``: how many turns of the event loop pass between taking records and returning them. As in real
    clients, a rebalance may come in between. ``hang`` names calls that do not return. While ``deaf`` is set, no record
    comes until the source is started again, as with a fetcher that died.
    """

    def __init__(self, broker: FakeBroker, poll_delay_turns: int = 0) -> None:
        self.broker = broker
        self.poll_delay_turns = poll_delay_turns
        self.positions: dict[Partition, int] = {}
        self.paused: set[Partition] = set()

        self.starts = 0
        self.start_failures = 0
        self.stops = 0
        self.polls = 0
        self.polling = False
        self.largest_poll = 0
        self.checks = 0
        self.looks: list[tuple[Partition, int]] = []

        self.refusal: str | None = None
        self.deaf = False
        self.hang: set[str] = set()
        self.released = asyncio.Event()
        self.raising: deque[Exception] = deque()
        self.join_failures: deque[Exception] = deque()
        self.listeners: list[AssignmentListener] = []
        self._listener: AssignmentListener | None = None

    async def start(self, listener: AssignmentListener) -> None:
        """Join the group. Partitions come with ``assign``."""
        self.starts += 1
        if self.start_failures:
            self.start_failures -= 1
            raise KafkaUnavailable

        await self._maybe_hang("start")
        self._listener = listener
        self.polling = False
        self.deaf = False
        self.positions = {}
        self.listeners.append(listener)

    @property
    def started(self) -> bool:
        """Whether the group was joined."""
        return self._listener is not None

    async def assign(
        self,
        *partitions: Partition,
        early_turns: int = 0,
        while_unassigned: Callable[[], None] = lambda: None,
    ) -> None:
        """Rebalance. ``while_unassigned`` is called once everything was revoked.

        Records of the new assignment can be polled ``early_turns`` turns before its callback.
        """
        assert self._listener is not None

        await self._listener.on_revoked(list(self.positions))
        while_unassigned()
        self.positions = {partition: self.broker.committed.get(partition, 0) for partition in partitions}
        self.paused = set()
        self.broker.changed.set()

        await _wait_turns(early_turns)
        await self._listener.on_assigned(list(partitions))

    async def poll(self, timeout_ms: int, max_records: int) -> Sequence[Record]:
        """Return records of the partitions that are not paused."""
        assert not self.polling

        self.polls += 1
        self.largest_poll = max(self.largest_poll, max_records)
        self.polling = True

        try:
            return await self._poll(timeout_ms / 1000, max_records)
        finally:
            self.polling = False

    async def _poll(self, timeout_s: float, max_records: int) -> Sequence[Record]:
        if self.raising:
            raise self.raising.popleft()

        await self._maybe_hang("poll")
        self.broker.raise_if_down()
        records = self._take_records(max_records)

        if not records:
            self.broker.changed.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self.broker.changed.wait()
            except TimeoutError:
                return []
            records = self._take_records(max_records)

        await _wait_turns(self.poll_delay_turns)

        return records

    def _take_records(self, max_records: int) -> list[Record]:
        taken: list[Record] = []
        if self.deaf:
            return taken

        for partition in self.positions.keys() - self.paused:
            log = self.broker.logs.get(partition, [])
            end = self.broker.stable_end(partition)
            if self.positions[partition] > self.broker.ends.get(partition, 0):
                self.positions[partition] = 0  # out of range: the client goes to the earliest offset

            ahead = [record for record in log if self.positions[partition] <= record.offset < end]
            batch = ahead[: max_records - len(taken)]
            taken += batch

            if len(batch) == len(ahead):
                self.positions[partition] = max(self.positions[partition], end)
            elif batch:
                self.positions[partition] = batch[-1].offset + 1

        return taken

    async def check_membership(self) -> None:
        """Raise what a join in the background failed with."""
        if self.join_failures:
            raise self.join_failures.popleft()

    def pause(self, partitions: Collection[Partition]) -> None:
        """Stop reading these."""
        self.paused |= set(partitions) & self.positions.keys()

    def resume(self, partitions: Collection[Partition]) -> None:
        """Read these again."""
        self.paused -= set(partitions)
        self.broker.changed.set()

    async def seek_to_committed(self, partitions: Collection[Partition]) -> None:
        """Read on from the committed offsets."""
        self.broker.raise_if_down()
        for partition in set(partitions) & self.positions.keys():
            self.positions[partition] = self.broker.committed.get(partition, 0)

    async def seek_to_beginning(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Read on from the beginning."""
        self.broker.raise_if_down()
        beginnings = dict.fromkeys(set(partitions) & self.positions.keys(), 0)
        self.positions |= beginnings
        return beginnings

    async def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Return what was committed."""
        self.broker.raise_if_down()
        committed = self.broker.committed
        return {partition: committed[partition] for partition in partitions if partition in committed}

    async def topic_ids(self) -> Mapping[str, bytes]:
        """Return the ids of the topics."""
        self.broker.raise_if_down()
        return dict(self.broker.topic_ids)

    async def position(self, partition: Partition) -> int | None:
        """Return the offset to read next."""
        await asyncio.sleep(0)
        return self.positions.get(partition)

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit."""
        await self._maybe_hang("commit")
        self.broker.raise_if_down()
        await asyncio.sleep(0)
        self.broker.accept(offsets)

    async def logs(self, partitions: Collection[Partition]) -> Mapping[Partition, PartitionLog]:
        """Return the logs."""
        await self._maybe_hang("logs")
        self.broker.raise_if_down()
        return {partition: self._log(partition) for partition in partitions}

    def _log(self, partition: Partition) -> PartitionLog:
        topic_id = self.broker.topic_ids.get(partition.topic)
        return PartitionLog(self.broker.ends.get(partition, 0), self.broker.stable_end(partition), topic_id)

    async def first_timestamp_s(self, partition: Partition, offset: int) -> float | None:
        """Return the time of the first record from ``offset`` on."""
        self.looks.append((partition, offset))
        self.broker.raise_if_down()
        ahead = (record for record in self.broker.logs.get(partition, []) if record.offset >= offset)
        return next((record.timestamp_ms / 1000 for record in ahead), None)

    async def is_reachable(self, partitions: Collection[Partition]) -> bool:
        """Return whether the broker is up and refuses nothing."""
        self.checks += 1
        await asyncio.sleep(0)
        return not self.broker.down and self.refusal is None

    async def stop(self) -> None:
        """Leave the group."""
        await self._maybe_hang("stop")
        self.stops += 1
        self.broker.raise_if_down()

    async def _maybe_hang(self, call: str) -> None:
        if call in self.hang:
            await self.released.wait()


async def _wait_turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
