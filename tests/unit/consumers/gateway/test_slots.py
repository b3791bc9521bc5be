"""Slots for calls: who gets one, when, and what the limit learns."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from consumers.gateway.limiter import AdaptiveLimit, Sample
from consumers.gateway.slots import Call, CallSlots
from tests.fakes.virtual_time import in_virtual_time, loop_time


class Callers:
    """Callers with numbers, each of whom wants a slot and holds it until told to finish."""

    def __init__(self, limit: int) -> None:
        self.slots = CallSlots(AdaptiveLimit(limit, minimum=limit))
        self.served: list[int] = []
        self._finished: dict[int, asyncio.Event] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def arrive(self, *numbers: int) -> None:
        """Let these ask for a slot, in this order."""
        for number in numbers:
            self._finished[number] = asyncio.Event()
            self._tasks[number] = asyncio.create_task(self._hold_slot(number))

    def finish(self, number: int) -> None:
        """Let one give its slot back."""
        self._finished[number].set()

    def cancel(self, number: int) -> None:
        """Cancel one, whether it waits or holds a slot."""
        self._tasks[number].cancel()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Cancel all of them in the end."""
        yield
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _hold_slot(self, number: int) -> None:
        async with self.slots.slot():
            self.served.append(number)
            await self._finished[number].wait()


class RecordingLimit(AdaptiveLimit):
    """A limit of 4 that keeps the samples and never changes."""

    def __init__(self) -> None:
        super().__init__(4, minimum=4)
        self.samples: list[Sample] = []

    def record(self, sample: Sample) -> None:
        """Keep the sample."""
        self.samples.append(sample)


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def succeed(slots: CallSlots) -> None:
    """Make one call that succeeds at once."""
    async with slots.slot() as call:
        slots.start(call)
        slots.succeeded(call, "kind")


async def test_slots_are_handed_out_in_the_order_of_arrival() -> None:
    """Nobody overtakes, and nobody waits while a slot is free."""
    callers = Callers(2)

    async with callers.running():
        callers.arrive(1, 2, 3, 4, 5)
        await settled()

        assert callers.served == [1, 2]

        callers.finish(2)
        await settled()
        callers.arrive(6)
        callers.finish(1)
        callers.finish(3)
        await settled()

        assert callers.served == [1, 2, 3, 4, 5]

        callers.finish(4)
        await settled()

        assert callers.served[-1] == 6


async def test_a_caller_that_stops_waiting_delays_nobody() -> None:
    """A rebalance cancels records that wait for a slot."""
    callers = Callers(1)

    async with callers.running():
        callers.arrive(1, 2, 3)
        await settled()
        callers.cancel(2)
        callers.finish(1)
        await settled()

        assert callers.served == [1, 3]


@pytest.mark.parametrize("turns", range(6))
async def test_a_slot_handed_to_a_cancelled_caller_goes_to_the_next(turns: int) -> None:
    """The caller may be cancelled before, while or after it is served."""
    callers = Callers(1)

    async with callers.running():
        callers.arrive(1, 2, 3)
        await settled()
        callers.finish(1)
        for _ in range(turns):
            await asyncio.sleep(0)

        callers.cancel(2)
        await settled()

        assert callers.served[-1] == 3


@pytest.mark.parametrize("limit", [1, 3])
async def test_cancelling_everybody_frees_every_slot(limit: int) -> None:
    """Both those who hold a slot and those who wait are cancelled."""
    callers = Callers(limit)

    async with callers.running():
        callers.arrive(*range(10))
        await settled()
        for number in range(10):
            callers.cancel(number)

        await settled()
        callers.arrive(*range(10, 10 + limit))
        await settled()

        assert callers.served[-limit:] == list(range(10, 10 + limit))


def test_during_a_pause_no_slot_is_handed_out() -> None:
    """Of several pauses the longest counts. Then everybody is served."""

    async def paused() -> list[float]:
        slots = CallSlots(AdaptiveLimit(9, minimum=9), stopwatch=loop_time)
        served_at = []

        async def hold_slot() -> None:
            async with slots.slot():
                served_at.append(loop_time())

        for seconds in (1, 3, 2):
            slots.pause(seconds)
        await asyncio.gather(*(hold_slot() for _ in range(3)))

        return served_at

    assert in_virtual_time(paused()) == [3, 3, 3]


def test_a_sample_holds_the_call_s_times_and_concurrency() -> None:
    """Concurrency counts every call that was under way at the same time, also those that started later."""

    async def make_call(slots: CallSlots, after_s: float, for_s: float, ending: str) -> None:
        await asyncio.sleep(after_s)
        async with slots.slot() as call:
            slots.start(call)
            await asyncio.sleep(for_s)
            match ending:
                case "succeeded":
                    slots.succeeded(call, "kind")
                case "overloaded":
                    slots.overloaded(call)

    async def samples() -> list[Sample]:
        limit = RecordingLimit()
        slots = CallSlots(limit, stopwatch=loop_time)
        await asyncio.gather(
            make_call(slots, 0, 10, "succeeded"),
            make_call(slots, 1, 3, "overloaded"),
            make_call(slots, 2, 1, "otherwise"),
            make_call(slots, 20, 1, "succeeded"),
        )

        return limit.samples

    assert in_virtual_time(samples()) == [
        Sample(None, 1, 4, 3, overloaded=True),
        Sample("kind", 0, 10, 3),
        Sample("kind", 20, 21, 1),
    ]


async def test_a_short_call_has_a_latency() -> None:
    """The event loop's clock may stand still meanwhile, and a limit that goes by latency would learn nothing."""
    limit = RecordingLimit()
    slots = CallSlots(limit)

    async with slots.slot() as call:
        slots.start(call)
        until = time.perf_counter() + 0.0005
        while time.perf_counter() < until:
            pass

        slots.succeeded(call, "call")

    assert 0.0005 <= limit.samples[0].latency_s < 1


async def test_each_change_of_the_limit_is_reported_once() -> None:
    """The first limit is reported too."""
    reported: list[int] = []
    slots = CallSlots(AdaptiveLimit(initial=8), reported.append)

    for _ in range(33):
        await succeed(slots)

    assert reported == [3, 8]


async def test_a_limit_that_grows_serves_as_many_as_it_allows() -> None:
    """Waiting callers are served at once, not one for each slot that becomes free."""
    slots = CallSlots(AdaptiveLimit(initial=4))
    inside: list[Call] = []
    gate = asyncio.Event()

    async def hold_slot() -> None:
        async with slots.slot() as call:
            inside.append(call)
            await gate.wait()

    for _ in range(29):
        await succeed(slots)

    async with slots.slot() as last:
        waiting = [asyncio.create_task(hold_slot()) for _ in range(6)]
        await settled()

        assert len(inside) == 2

        slots.start(last)
        slots.succeeded(last, "kind")

    await settled()

    assert len(inside) == 4

    gate.set()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
