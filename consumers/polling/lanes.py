"""Order per key, everything else side by side."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Final, Generic, TypeVar

_Item = TypeVar("_Item")

QUEUED_PER_LANE: Final = 16
"""How many items there may be in all, for each lane that there may be."""


class Lanes(Generic[_Item]):
    """Items of one lane are worked on one after the other, in the order they were put; lanes run side by side.

    Bounded by lanes, by items and by bytes: whoever puts asks ``room`` first. What queues behind the first of its lane
    counts far less than a lane: a flood of one key must not take the place of those that could be worked on. An item
    that raises is a bug: its lane stops, and ``raise_failure`` tells.
    """

    def __init__(self, work: Callable[[_Item], Awaitable[None]], max_lanes: int, max_bytes: int) -> None:
        self._work = work
        self._max_lanes = max_lanes
        self._max_items = QUEUED_PER_LANE * max_lanes
        self._max_bytes = max_bytes
        self._lanes: dict[Hashable, deque[tuple[_Item, int]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._items = 0
        self._bytes = 0
        self._failure: BaseException | None = None

    @property
    def in_flight(self) -> int:
        """Items put and not done."""
        return self._items

    @property
    def room(self) -> int:
        """How many items more may be put, whatever their lanes; 0 too when the bytes are used up."""
        free = min(self._max_lanes - len(self._lanes), self._max_items - self._items)
        return max(0, free) if self._bytes < self._max_bytes else 0

    @property
    def roomy(self) -> bool:
        """Whether a quarter is free of all three: when to go on after there was no room."""
        used = (len(self._lanes), self._max_lanes), (self._items, self._max_items), (self._bytes, self._max_bytes)
        return all(each * 4 <= most * 3 for each, most in used)

    def items(self) -> Iterator[_Item]:
        """Return all that is put and not done."""
        return (item for queue in self._lanes.values() for item, _ in queue)

    def put(self, lane: Hashable, item: _Item, size: int) -> None:
        """Queue an item of ``size`` bytes."""
        self._items += 1
        self._bytes += size
        queue = self._lanes.get(lane)
        if queue is not None:
            queue.append((item, size))
            return
        self._lanes[lane] = queue = deque([(item, size)])
        task = asyncio.create_task(self._run(lane, queue))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def drain(self, timeout_s: float) -> None:
        """Wait until all is done, the time is up, or something failed."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    async def drop(self) -> None:
        """Forget everything: what is under way is cancelled, and over when this returns."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lanes.clear()
        self._items = self._bytes = 0

    def raise_failure(self) -> None:
        """Raise what an item raised, if one did."""
        if self._failure is not None:
            raise self._failure

    async def _run(self, lane: Hashable, queue: deque[tuple[_Item, int]]) -> None:
        while queue:
            item, size = queue[0]
            await self._work(item)
            queue.popleft()
            self._items -= 1
            self._bytes -= size
        # No await since the queue was seen empty: nothing can have been put in between.
        del self._lanes[lane]

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()
