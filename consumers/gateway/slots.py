"""Slots for calls: first come, first served, as many at a time as an adaptive limit allows."""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from consumers.gateway.limiter import AdaptiveLimit, Sample
from consumers.ports import Stopwatch


@dataclass(eq=False)
class Call:
    """A call that holds a slot.

    ``concurrency``: the most calls that were under way while it was, itself included.
    """

    started_at: float = math.nan
    concurrency: int = 0


class CallSlots:
    """Hands out the slots, and lets the limit learn from the calls.

    A call that neither ``succeeded`` nor was ``overloaded`` teaches the limit nothing:
    it was cancelled, or its answer concerns one key only. ``limit_changed`` is called
    with the first limit and with each new one.

    ``stopwatch`` times the calls. The event loop's clock would not do: uvloop's counts
    milliseconds, and stands still within a turn.
    """

    def __init__(
        self,
        limit: AdaptiveLimit,
        limit_changed: Callable[[int], None] = lambda limit: None,
        stopwatch: Stopwatch = time.monotonic,
    ) -> None:
        self._limit = limit
        self._limit_changed = limit_changed
        self._stopwatch = stopwatch
        self._reported_limit: int | None = None
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._under_way: set[Call] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._report_limit()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[Call]:
        """Wait for a slot, and hold it for the length of the block."""
        await self._acquire()
        call = Call()
        try:
            yield call
        finally:
            self._under_way.discard(call)
            self._release()

    def start(self, call: Call) -> None:
        """Note that a call is sent now."""
        self._under_way.add(call)
        for each in self._under_way:
            each.concurrency = max(each.concurrency, len(self._under_way))
        call.started_at = self._stopwatch()

    def succeeded(self, call: Call, kind: Hashable) -> None:
        """Note that the server did its work; calls of one ``kind`` take about equally long."""
        self._learn(call, kind)

    def overloaded(self, call: Call) -> None:
        """Note that the server had too much to do."""
        self._learn(call, None, overloaded=True)

    def pause(self, seconds: float) -> None:
        """Hand out no slot for so long.

        Slots that are held stay held, and of several pauses the longest counts.
        """
        loop = asyncio.get_running_loop()

        if self._pause is not None:
            if self._pause.when() >= loop.time() + seconds:
                return
            self._pause.cancel()

        self._pause = loop.call_later(seconds, self._end_pause)

    def _end_pause(self) -> None:
        self._pause = None
        self._serve_waiting()

    def _learn(self, call: Call, kind: Hashable, overloaded: bool = False) -> None:
        ended_at = self._stopwatch()
        sample = Sample(kind, call.started_at, ended_at, call.concurrency, overloaded)

        self._limit.record(sample)
        self._report_limit()

    def _report_limit(self) -> None:
        if self._limit.limit != self._reported_limit:
            self._reported_limit = self._limit.limit
            self._limit_changed(self._reported_limit)

    async def _acquire(self) -> None:
        if not self._waiting and self._has_free_slot():
            self._taken += 1
            return

        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)

        try:
            await turn
        except asyncio.CancelledError:
            # It may have been served and then cancelled within one turn of the event
            # loop. The slot goes to the next.
            if not turn.cancelled():
                self._release()
            raise

    def _release(self) -> None:
        self._taken -= 1
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        while self._waiting and self._has_free_slot():
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self._taken += 1
                turn.set_result(None)

    def _has_free_slot(self) -> bool:
        return self._pause is None and self._taken < self._limit.limit
