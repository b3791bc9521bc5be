"""Lanes."""

import asyncio

import pytest

from consumers.polling.lanes import Capacity, Lanes
from tests.fakes.waiting import until


class Bench:
    """Work that lasts until it is let go: an item is its lane's letter and a number."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.finished: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}

    def gate(self, item: str) -> asyncio.Event:
        """Return what the item waits for."""
        return self._gates.setdefault(item, asyncio.Event())

    async def work(self, item: str) -> None:
        """Work until let go; an item with a ``!`` is a bug."""
        self.started.append(item)
        await self.gate(item).wait()
        if "!" in item:
            raise ZeroDivisionError
        self.finished.append(item)


def lanes_of(bench: Bench, *items: str, max_lanes: int = 8, max_bytes: int = 800) -> Lanes[str]:
    """Return lanes with these items put, of 10 bytes each."""
    lanes: Lanes[str] = Lanes(bench.work, Capacity(max_lanes, max_bytes))
    for item in items:
        lanes.put(item[0], item, 10)
    return lanes


async def test_lanes_run_side_by_side_and_each_in_order() -> None:
    """A slow item delays its own lane only."""
    bench = Bench()
    lanes = lanes_of(bench, "a1", "a2", "b1", "b2")
    await until(lambda: bench.started == ["a1", "b1"])
    bench.gate("b1").set()
    bench.gate("b2").set()
    bench.gate("a2").set()
    await until(lambda: lanes.capacity.items == 2)

    assert bench.started == ["a1", "b1", "b2"]

    bench.gate("a1").set()
    await lanes.drain(5)

    assert bench.finished == ["b1", "b2", "a1", "a2"]
    assert lanes.capacity.items == 0


async def test_a_lane_that_ran_empty_can_be_used_again() -> None:
    """It begins anew."""
    bench = Bench()
    lanes = lanes_of(bench, "a1")
    bench.gate("a1").set()
    await lanes.drain(5)
    lanes.put("a", "a2", 10)
    bench.gate("a2").set()
    await lanes.drain(5)

    assert bench.finished == ["a1", "a2"]


async def test_room_is_bounded_by_lanes_and_by_bytes() -> None:
    """Once full, a quarter has to be free before it counts as roomy."""
    bench = Bench()
    lanes = lanes_of(bench, "a1", "b1", "c1", max_lanes=4)

    assert (lanes.capacity.free, lanes.capacity.can_resume) == (1, True)

    lanes.put("d", "d1", 10)

    assert (lanes.capacity.free, lanes.capacity.can_resume) == (0, False)

    bench.gate("a1").set()
    bench.gate("b1").set()
    await until(lambda: lanes.capacity.free == 2)
    lanes.put("e", "e1", 780)

    assert (lanes.capacity.items, lanes.capacity.free, lanes.capacity.can_resume) == (3, 0, False)

    await lanes.drop()

    assert (lanes.capacity.free, lanes.capacity.can_resume) == (4, True)


async def test_what_queues_in_a_lane_takes_no_room_of_others_up_to_a_bound() -> None:
    """Sixteen for each lane there may be; then there is no room for anybody."""
    bench = Bench()
    lanes = lanes_of(bench, *(f"a{number}" for number in range(31)), max_lanes=2)

    assert (lanes.capacity.free, lanes.capacity.can_resume) == (1, False)

    lanes.put("a", "a31", 10)

    assert (lanes.capacity.free, lanes.capacity.can_resume) == (0, False)

    for number in range(8):
        bench.gate(f"a{number}").set()

    await until(lambda: lanes.capacity.can_resume)

    assert (lanes.capacity.items, lanes.capacity.free) == (24, 1)

    await lanes.drop()


async def test_draining_ends_in_time() -> None:
    """What is not done by then stays."""
    bench = Bench()
    lanes = lanes_of(bench, "a1")
    await lanes.drain(0.001)
    assert lanes.capacity.items == 1
    await lanes.drop()


async def test_dropping_is_over_when_it_returns() -> None:
    """Nothing of it goes on afterwards."""
    bench = Bench()
    lanes = lanes_of(bench, "a1", "a2")
    await until(lambda: bench.started)
    await lanes.drop()
    bench.gate("a1").set()
    await lanes.drain(5)

    assert lanes.capacity.items == 0
    assert bench.finished == []

    lanes.raise_failure()


async def test_a_bug_is_told_not_swallowed() -> None:
    """Its lane stops there; the first bug is the one that is told."""
    bench = Bench()
    lanes = lanes_of(bench, "a!1", "a2", "b!1")
    bench.gate("a!1").set()
    bench.gate("b!1").set()
    await lanes.drain(5)

    with pytest.raises(ZeroDivisionError):
        lanes.raise_failure()

    assert bench.started == ["a!1", "b!1"]
