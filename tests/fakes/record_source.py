"""Kafka in memory: partitions with gaps, one group, eager rebalances."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from consumers.ports import AssignmentListener, KafkaUnavailable, Partition, Record


class FakeBroker:
    """Keeps the records and the group's committed offsets. While ``down`` is set everything raises."""

    def __init__(self) -> None:
        self.logs: dict[Partition, list[Record]] = {}
        self.ends: dict[Partition, int] = {}
        self.committed: dict[Partition, int] = {}
        self.commits: list[Mapping[Partition, int]] = []
        self.down = False
        self.changed = asyncio.Event()

    def append(self, record: Record, gap: int = 0) -> Record:
        """Append at the end, ``gap`` offsets further on; return the record with its offset."""
        partition = record.topic_partition
        placed = replace(record, offset=self.ends.get(partition, 0) + gap)
        self.logs.setdefault(partition, []).append(placed)
        self.mark(partition, gap + 1)
        return placed

    def mark(self, partition: Partition, offsets: int = 1) -> None:
        """Use up offsets for no record, as a transaction marker does."""
        self.ends[partition] = self.ends.get(partition, 0) + offsets
        self.changed.set()

    def accept(self, offsets: Mapping[Partition, int]) -> None:
        """Take a commit."""
        self.committed.update(offsets)
        self.commits.append(dict(offsets))

    def demand(self) -> None:
        """Raise if the broker is down."""
        if self.down:
            raise KafkaUnavailable


class FakeRecordSource:
    """Fulfils ``RecordSource`` on a ``FakeBroker``.

    ``lag_of_poll``: how many turns others get between a poll taking its records and returning them, as it happens
    in real clients: a rebalance may come in between. ``hang`` names calls that return only once ``released``. While
    ``deaf`` is set no record comes, until it is started anew: a fetcher that has died.
    """

    def __init__(self, broker: FakeBroker, lag_of_poll: int = 0) -> None:
        self.broker = broker
        self.lag_of_poll = lag_of_poll
        self.positions: dict[Partition, int] = {}
        self.paused: set[Partition] = set()
        self.polls = 0
        self.polling = False
        self.largest_poll = 0
        self.stopped = 0
        self.start_failures = 0
        self.starts = 0
        self.checks = 0
        self.deaf = False
        self.listeners: list[AssignmentListener] = []
        self.hang: set[str] = set()
        self.released = asyncio.Event()
        self.raising: deque[Exception] = deque()
        self._listener: AssignmentListener | None = None

    async def start(self, listener: AssignmentListener) -> None:
        """Join; partitions come with ``assign``."""
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

    async def assign(self, *partitions: Partition, early: int = 0, between: Callable[[], None] = lambda: None) -> None:
        """Rebalance; ``between`` is called once nothing is assigned.

        Records of the new assignment can be polled ``early`` turns before the listener hears of it.
        """
        assert self._listener is not None

        await self._listener.on_revoked(list(self.positions))
        between()
        self.positions = {partition: self.broker.committed.get(partition, 0) for partition in partitions}
        self.paused = set()
        self.broker.changed.set()
        await _turns(early)
        await self._listener.on_assigned(list(partitions))

    async def poll(self, timeout_ms: int, max_records: int) -> Sequence[Record]:
        """Hand out records of what is not paused."""
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
        self.broker.demand()
        records = self._taken(max_records)

        if not records:
            self.broker.changed.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self.broker.changed.wait()
            except TimeoutError:
                return []
            records = self._taken(max_records)

        await _turns(self.lag_of_poll)

        return records

    def _taken(self, max_records: int) -> list[Record]:
        taken: list[Record] = []
        if self.deaf:
            return taken

        for partition in self.positions.keys() - self.paused:
            ahead = [each for each in self.broker.logs.get(partition, []) if each.offset >= self.positions[partition]]
            batch = ahead[: max_records - len(taken)]
            taken += batch

            if len(batch) == len(ahead):
                self.positions[partition] = max(self.positions[partition], self.broker.ends.get(partition, 0))
            elif batch:
                self.positions[partition] = batch[-1].offset + 1

        return taken

    def pause(self, partitions: Collection[Partition]) -> None:
        """Stop reading these."""
        self.paused |= set(partitions) & self.positions.keys()

    def resume(self, partitions: Collection[Partition]) -> None:
        """Read these again."""
        self.paused -= set(partitions)
        self.broker.changed.set()

    async def seek_to_committed(self, partitions: Collection[Partition]) -> None:
        """Read again from what is committed."""
        self.broker.demand()
        for partition in set(partitions) & self.positions.keys():
            self.positions[partition] = self.broker.committed.get(partition, 0)

    async def position(self, partition: Partition) -> int | None:
        """Return where reading goes on."""
        await asyncio.sleep(0)
        return self.positions.get(partition)

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit."""
        await self._maybe_hang("commit")
        self.broker.demand()
        await asyncio.sleep(0)
        self.broker.accept(offsets)

    async def end_offsets(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Return the ends."""
        await self._maybe_hang("end_offsets")
        self.broker.demand()
        return {partition: self.broker.ends.get(partition, 0) for partition in partitions}

    async def is_reachable(self, partitions: Collection[Partition]) -> bool:
        """Tell whether the broker is up."""
        self.checks += 1
        await asyncio.sleep(0)
        return not self.broker.down

    async def stop(self) -> None:
        """Leave."""
        await self._maybe_hang("stop")
        self.stopped += 1
        self.broker.demand()

    async def _maybe_hang(self, call: str) -> None:
        if call in self.hang:
            await self.released.wait()


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
