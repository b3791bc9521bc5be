"""Seats for calls: who came first sits first, as many at a time as an adaptive limit says."""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager

from consumers.gateway.limiter import AdaptiveLimit, Sample


class Seat:
    """One call's place. Between ``begin`` and its end the call is under way; how it ends is told by its holder.

    A call that ends otherwise, cancelled or with an answer about one key only, teaches the limit nothing.
    """

    def __init__(self, seats: "Seats") -> None:
        self._seats = seats
        self._begun_at = math.nan
        self.company = 0

    def begin(self) -> None:
        """Note that the call leaves now."""
        self._begun_at = self._seats.begin(self)

    def served(self, kind: Hashable) -> None:
        """Note that the server did its work; calls of one ``kind`` take about as long."""
        self._seats.learn(Sample(kind, self._begun_at, self._seats.time(), self.company))

    def overloaded(self) -> None:
        """Note that the server had too much to do."""
        self._seats.learn(Sample(None, self._begun_at, self._seats.time(), self.company, overloaded=True))


class Seats:
    """``moved`` is told whenever the limit is another. ``clock`` tells how long calls take.

    The loop's own clock does not do: uvloop's counts in milliseconds and stands still within a turn of the loop.
    """

    def __init__(
        self,
        limit: AdaptiveLimit,
        moved: Callable[[int], None] = lambda limit: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._moved = moved
        self.time = clock
        self._told: int | None = None
        self._taken = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._under_way: set[Seat] = set()
        self._hold: asyncio.TimerHandle | None = None
        self._tell()

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[Seat]:
        """Wait for a seat, and keep it for the length of the block."""
        await self._take()
        seat = Seat(self)
        try:
            yield seat
        finally:
            self._under_way.discard(seat)
            self._leave()

    def hold(self, seconds: float) -> None:
        """Give no seat for so long. Those who sit stay."""
        loop = asyncio.get_running_loop()
        if self._hold is not None:
            if self._hold.when() >= loop.time() + seconds:
                return
            self._hold.cancel()
        self._hold = loop.call_later(seconds, self._end_hold)

    def _end_hold(self) -> None:
        self._hold = None
        self._call_in()

    def begin(self, seat: Seat) -> float:
        """Count a call as under way; return the time."""
        self._under_way.add(seat)
        for each in self._under_way:
            each.company = max(each.company, len(self._under_way))
        return self.time()

    def learn(self, sample: Sample) -> None:
        """Let the limit learn from a call that ended."""
        self._limit.record(sample)
        self._tell()

    async def _take(self) -> None:
        if not self._queue and self._is_free():
            self._taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            # It may have been called in and cancelled in the same turn of the loop: then the seat goes to the next.
            if not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        self._taken -= 1
        self._call_in()

    def _call_in(self) -> None:
        while self._queue and self._is_free():
            turn = self._queue.popleft()
            if not turn.cancelled():
                self._taken += 1
                turn.set_result(None)

    def _is_free(self) -> bool:
        return self._hold is None and self._taken < self._limit.limit

    def _tell(self) -> None:
        if self._limit.limit != self._told:
            self._told = self._limit.limit
            self._moved(self._told)
