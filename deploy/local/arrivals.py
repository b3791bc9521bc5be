"""A list that coroutines can wait on."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Arrivals(Generic[T]):
    """Everything that has arrived so far, in order. Each arrival wakes those who wait."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self._followers: list[Callable[[T], None]] = []
        self._changed = asyncio.Condition()

    def follow(self, follower: Callable[[T], None]) -> None:
        """Call ``follower`` with every item from now on."""
        self._followers.append(follower)

    async def add(self, item: T) -> None:
        """Add ``item``, and wake those who wait."""
        async with self._changed:
            self.items.append(item)
            for follower in self._followers:
                follower(item)
            self._changed.notify_all()

    async def matching(self, matches: Callable[[T], bool], count: int, within_s: float, what: str) -> list[T]:
        """Return the matching items once there are at least ``count``. Raises ``TimeoutError`` with ``what``."""

        def found() -> list[T]:
            return [item for item in self.items if matches(item)]

        try:
            async with self._changed, asyncio.timeout(within_s):
                await self._changed.wait_for(lambda: len(found()) >= count)
        except TimeoutError:
            raise TimeoutError(f"{len(found())} of {count} within {within_s:g} s: {what}") from None

        return found()
