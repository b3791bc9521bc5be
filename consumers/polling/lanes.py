"""Runs the items of one lane in order, and lanes side by side."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Final, Generic, TypeVar

_Item = TypeVar("_Item")

QUEUED_PER_LANE: Final = 16
"""With n lanes allowed, n times as many items may be in flight."""


class Capacity:
    """How many items are in flight and how many more may be: bounded by lanes, items and bytes.

    Items queued behind the first of their lane count far less than a lane: a flood of one key must not block the keys
    that could be handled.
    """

    def __init__(self, max_lanes: int, max_bytes: int) -> None:
        self.lanes = 0
        self.items = 0
        self.bytes = 0
        self._max_lanes = max_lanes
        self._max_items = QUEUED_PER_LANE * max_lanes
        self._max_bytes = max_bytes

    @property
    def free(self) -> int:
        """How many more items may be put, into any lanes. 0 if no bytes are left."""
        free = min(self._max_lanes - self.lanes, self._max_items - self.items)
        return max(0, free) if self.bytes < self._max_bytes else 0

    @property
    def can_resume(self) -> bool:
        """Whether a quarter of each bound is free: enough to resume reading after there was no capacity."""
        used = [
            (self.lanes, self._max_lanes),
            (self.items, self._max_items),
            (self.bytes, self._max_bytes),
        ]
        return all(count * 4 <= limit * 3 for count, limit in used)

    def reset(self) -> None:
        """Note that nothing is in flight."""
        self.lanes = self.items = self.bytes = 0


class Lanes(Generic[_Item]):
    """Handles the items of one lane one after the other, in the order they were put; lanes run side by side.

    Callers check ``capacity`` before they put an item. An item that raises is a bug: its lane stops, and
    ``raise_failure`` raises the error.
    """

    def __init__(self, handle: Callable[[_Item], Awaitable[None]], capacity: Capacity) -> None:
        self.capacity = capacity
        self._handle = handle
        self._lanes: dict[Hashable, deque[tuple[_Item, int]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False
        self._failure: BaseException | None = None

    def items(self) -> Iterator[_Item]:
        """Return the items that were put and are not done."""
        return (item for queue in self._lanes.values() for item, _ in queue)

    def put(self, lane: Hashable, item: _Item, size: int) -> None:
        """Queue an item of ``size`` bytes."""
        self.capacity.items += 1
        self.capacity.bytes += size

        queue = self._lanes.get(lane)
        if queue is not None:
            queue.append((item, size))
        else:
            self._open(lane, deque([(item, size)]))

    async def drain(self, timeout_s: float) -> None:
        """Let the items that have started finish, for ``timeout_s`` at most. No other one starts until ``drop``.

        Otherwise a rebalance would wait for everything that is queued behind a hot key.
        """
        self._draining = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    async def drop(self) -> None:
        """Cancel and forget all items. None of them runs any more when this returns."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        self._lanes.clear()
        self.capacity.reset()
        self._draining = False

    def raise_failure(self) -> None:
        """Raise the first error that an item raised, if any."""
        if self._failure is not None:
            raise self._failure

    def _open(self, lane: Hashable, queue: deque[tuple[_Item, int]]) -> None:
        self._lanes[lane] = queue
        self.capacity.lanes += 1

        task = asyncio.create_task(self._run(lane, queue))
        self._tasks.add(task)
        task.add_done_callback(self._on_lane_end)

    async def _run(self, lane: Hashable, queue: deque[tuple[_Item, int]]) -> None:
        while queue:
            if self._draining:
                return

            item, size = queue[0]
            await self._handle(item)
            queue.popleft()
            self.capacity.items -= 1
            self.capacity.bytes -= size

        # No await since the queue was seen empty, so nothing can have been put in between.
        del self._lanes[lane]
        self.capacity.lanes -= 1

    def _on_lane_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()
