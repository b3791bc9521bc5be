"""Side effects that Temporal may ask for twice, and that should happen once."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """Does something once for each key, as far as this process knows.

    If a worker seems dead but is only slow, Temporal tries its activity again, often in the same
    process. That try waits for the first one, or gets its result. A failure is not remembered.
    """

    def __init__(self, max_remembered: int) -> None:
        self._max_remembered = max_remembered
        self._tasks: dict[str, asyncio.Task[T]] = {}

    async def run(self, key: str, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what ``start`` returns, or what it returned before for this key.

        It goes on if the caller is cancelled: nobody knows how far it got.
        """
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(start())
            self._tasks[key] = task
            task.add_done_callback(partial(self._on_end, key))

        return await asyncio.shield(task)

    def _on_end(self, key: str, task: "asyncio.Task[T]") -> None:
        if task.cancelled() or task.exception() is not None:
            del self._tasks[key]

        if len(self._tasks) > self._max_remembered:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        """Forget what ended longest ago, or rather began: what has not ended is still needed."""
        oldest = next((key for key, task in self._tasks.items() if task.done()), None)
        if oldest is not None:
            del self._tasks[oldest]
