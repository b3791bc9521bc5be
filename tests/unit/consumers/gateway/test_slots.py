"""Seats: who gets one, when, and what the limit is told."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from consumers.gateway.limiter import AdaptiveLimit, Sample
from consumers.gateway.slots import Seat, Seats
from tests.fakes.virtual_time import in_virtual_time, loop_time


class Desk:
    """Some who want a seat, each with a number, and keep it until they are told to go."""

    def __init__(self, limit: int) -> None:
        self.limit = AdaptiveLimit(limit, minimum=limit)
        self.seats = Seats(self.limit)
        self.seated: list[int] = []
        self._leave: dict[int, asyncio.Event] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def come(self, *numbers: int) -> None:
        """Let these come, in this order."""
        for number in numbers:
            self._leave[number] = asyncio.Event()
            self._tasks[number] = asyncio.create_task(self._sit(number))

    def go(self, number: int) -> None:
        """Tell one to leave its seat."""
        self._leave[number].set()

    def cancel(self, number: int) -> None:
        """Take one away, wherever it is."""
        self._tasks[number].cancel()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Clear the room in the end."""
        yield
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _sit(self, number: int) -> None:
        async with self.seats.seat():
            self.seated.append(number)
            await self._leave[number].wait()


async def settled() -> None:
    """Let everybody have their turn, often enough."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_seats_are_given_in_the_order_of_coming() -> None:
    """Nobody overtakes, and nobody waits while a seat is free."""
    desk = Desk(2)
    async with desk.open():
        desk.come(1, 2, 3, 4, 5)
        await settled()

        assert desk.seated == [1, 2]

        desk.go(2)
        await settled()
        desk.come(6)
        desk.go(1)
        desk.go(3)
        await settled()

        assert desk.seated == [1, 2, 3, 4, 5]

        desk.go(4)
        await settled()

        assert desk.seated[-1] == 6


async def test_one_who_gives_up_waiting_holds_nobody_up() -> None:
    """As records do that a rebalance drops."""
    desk = Desk(1)
    async with desk.open():
        desk.come(1, 2, 3)
        await settled()
        desk.cancel(2)
        desk.go(1)
        await settled()

        assert desk.seated == [1, 3]


@pytest.mark.parametrize("turns", range(6))
async def test_a_seat_given_to_one_who_is_just_leaving_goes_to_the_next(turns: int) -> None:
    """Cancelled before, while or after being called in."""
    desk = Desk(1)
    async with desk.open():
        desk.come(1, 2, 3)
        await settled()
        desk.go(1)
        for _ in range(turns):
            await asyncio.sleep(0)

        desk.cancel(2)
        await settled()

        assert desk.seated[-1] == 3


def test_while_held_no_seat_is_given() -> None:
    """The longest hold counts; then all go on in order."""

    async def held() -> list[float]:
        seats, loop = Seats(AdaptiveLimit(9, minimum=9), clock=loop_time), asyncio.get_running_loop()
        seats.hold(1)
        seats.hold(3)
        seats.hold(2)
        times = []

        async def sit() -> None:
            async with seats.seat():
                times.append(loop.time())

        await asyncio.gather(*(sit() for _ in range(3)))

        return times

    assert in_virtual_time(held()) == [3, 3, 3]


class Notes(AdaptiveLimit):
    """A limit that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(4, minimum=4)
        self.samples: list[Sample] = []

    def record(self, sample: Sample) -> None:
        """Keep it."""
        self.samples.append(sample)


def test_a_call_is_told_with_its_time_and_its_company() -> None:
    """The most that were under way while it was, those included that came later."""

    async def call(seats: Seats, after_s: float, for_s: float, ends: str) -> None:
        await asyncio.sleep(after_s)
        async with seats.seat() as seat:
            seat.begin()
            await asyncio.sleep(for_s)
            match ends:
                case "served":
                    seat.served("kind")
                case "overloaded":
                    seat.overloaded()

    async def calls() -> list[Sample]:
        limit = Notes()
        seats = Seats(limit, clock=loop_time)
        await asyncio.gather(
            call(seats, 0, 10, "served"),
            call(seats, 1, 3, "overloaded"),
            call(seats, 2, 1, "otherwise"),
            call(seats, 20, 1, "served"),
        )

        return limit.samples

    assert in_virtual_time(calls()) == [
        Sample(None, 1, 4, 3, overloaded=True),
        Sample("kind", 0, 10, 3),
        Sample("kind", 20, 21, 1),
    ]


async def test_a_limit_that_moves_is_told_once() -> None:
    """And the first one too."""
    told: list[int] = []
    seats = Seats(AdaptiveLimit(begin_with=8), told.append)
    for _ in range(33):
        async with seats.seat() as seat:
            seat.begin()
            seat.served("kind")
    assert told == [3, 8]


async def test_a_limit_that_grows_calls_in_as_many_as_it_allows() -> None:
    """At once, not one for each that leaves."""
    seats = Seats(AdaptiveLimit(begin_with=4))
    inside: list[Seat] = []
    gate = asyncio.Event()

    async def sit() -> None:
        async with seats.seat() as seat:
            inside.append(seat)
            await gate.wait()

    for _ in range(29):
        async with seats.seat() as seat:
            seat.begin()
            seat.served("kind")

    async with seats.seat() as last:
        waiting = [asyncio.create_task(sit()) for _ in range(6)]
        await settled()

        assert len(inside) == 2

        last.begin()
        last.served("kind")

    await settled()

    assert len(inside) == 4

    gate.set()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


@pytest.mark.parametrize("limit", [1, 3])
async def test_cancelling_everybody_frees_every_seat(limit: int) -> None:
    """Those inside and those outside."""
    desk = Desk(limit)
    async with desk.open():
        desk.come(*range(10))
        await settled()
        for number in range(10):
            desk.cancel(number)

        await settled()
        desk.come(*range(10, 10 + limit))
        await settled()

        assert desk.seated[-limit:] == list(range(10, 10 + limit))


async def test_a_call_that_takes_a_moment_has_taken_time() -> None:
    """The loop's own clock may stand still meanwhile, and a limit that goes by latency would learn nothing."""
    seen: list[Sample] = []

    class Noting(AdaptiveLimit):
        def record(self, sample: Sample) -> None:
            seen.append(sample)

    async with Seats(Noting()).seat() as seat:
        seat.begin()
        until = time.perf_counter() + 0.0005
        while time.perf_counter() < until:
            pass

        seat.served("call")

    assert 0.0005 <= seen[0].latency_s < 1
