"""Lanes: order within a lane, concurrency between lanes, and their capacity."""

import asyncio

import pytest

from consumers.polling.lanes import Capacity, Lanes
from tests.fakes.waiting import until


class Bench:
    """A handler that waits until each item is released. An item is its lane's letter and a number."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.finished: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}

    def release(self, *items: str) -> None:
        """Let items finish."""
        for item in items:
            self._gate(item).set()

    async def handle(self, item: str) -> None:
        """Wait until the item is released. An item with a ``!`` raises."""
        self.started.append(item)
        await self._gate(item).wait()
        if "!" in item:
            raise ZeroDivisionError

        self.finished.append(item)

    def _gate(self, item: str) -> asyncio.Event:
        return self._gates.setdefault(item, asyncio.Event())


def lanes_with(bench: Bench, *items: str, max_lanes: int = 8, max_bytes: int = 800) -> Lanes[str]:
    """Return lanes with these items in flight, of 10 bytes each."""
    lanes: Lanes[str] = Lanes(bench.handle, Capacity(max_lanes, max_bytes))
    for item in items:
        lanes.put(item[0], item, 10)

    return lanes


async def test_lanes_run_side_by_side_and_each_in_order() -> None:
    """A slow item delays only its own lane."""
    bench = Bench()
    lanes = lanes_with(bench, "a1", "a2", "b1", "b2")
    await until(lambda: bench.started == ["a1", "b1"])
    bench.release("b1", "b2", "a2")
    await until(lambda: lanes.capacity.items == 2)

    assert bench.started == ["a1", "b1", "b2"]

    bench.release("a1")
    await until(lambda: bench.finished == ["b1", "b2", "a1", "a2"])

    assert lanes.capacity.items == 0


async def test_an_empty_lane_can_be_used_again() -> None:
    """An item put after a lane ran empty is handled."""
    bench = Bench()
    lanes = lanes_with(bench, "a1")
    bench.release("a1")
    await until(lambda: lanes.capacity.items == 0)
    lanes.put("a", "a2", 10)
    bench.release("a2")
    await until(lambda: bench.finished == ["a1", "a2"])


async def test_capacity_is_bounded_by_lanes_and_by_bytes() -> None:
    """After the capacity ran out, reading resumes only when a quarter of each bound is free."""
    bench = Bench()
    lanes = lanes_with(bench, "a1", "b1", "c1", max_lanes=4)
    capacity = lanes.capacity

    assert (capacity.free, capacity.can_resume) == (1, True)

    lanes.put("d", "d1", 10)

    assert (capacity.free, capacity.can_resume) == (0, False)

    bench.release("a1", "b1")
    await until(lambda: capacity.free == 2)
    lanes.put("e", "e1", 780)

    assert (capacity.items, capacity.free, capacity.can_resume) == (3, 0, False)

    await lanes.drop()

    assert (capacity.free, capacity.can_resume) == (4, True)


async def test_queued_items_take_no_capacity_of_other_lanes_up_to_a_bound() -> None:
    """Sixteen items may be in flight per lane that may exist. Then nothing more may be put."""
    bench = Bench()
    lanes = lanes_with(bench, *(f"a{number}" for number in range(31)), max_lanes=2)
    capacity = lanes.capacity

    assert (capacity.free, capacity.can_resume) == (1, False)

    lanes.put("a", "a31", 10)

    assert (capacity.free, capacity.can_resume) == (0, False)

    bench.release(*(f"a{number}" for number in range(8)))
    await until(lambda: capacity.can_resume)

    assert (capacity.items, capacity.free) == (24, 1)

    await lanes.drop()


async def test_a_drain_starts_nothing_that_has_not_started() -> None:
    """A rebalance waits for one item of a hot key, not for all that are queued behind it."""
    bench = Bench()
    lanes = lanes_with(bench, "a1", "a2", "a3", "b1")
    await until(lambda: bench.started == ["a1", "b1"])
    bench.release("a1", "a2", "a3", "b1")
    await lanes.drain(5)

    assert bench.finished == ["a1", "b1"]

    await lanes.drop()
    lanes.put("a", "a4", 10)
    bench.release("a4")
    await until(lambda: bench.finished == ["a1", "b1", "a4"])


async def test_a_drain_ends_after_its_timeout() -> None:
    """Items that are not done by then stay in flight."""
    bench = Bench()
    lanes = lanes_with(bench, "a1")
    await lanes.drain(0.001)
    assert lanes.capacity.items == 1
    await lanes.drop()


async def test_dropped_items_do_not_run_any_more() -> None:
    """Nothing runs after ``drop`` returns, and a cancelled item is no failure."""
    bench = Bench()
    lanes = lanes_with(bench, "a1", "a2")
    await until(lambda: bench.started)
    await lanes.drop()
    bench.release("a1")
    await lanes.drain(5)

    assert lanes.capacity.items == 0
    assert bench.finished == []

    lanes.raise_failure()


async def test_the_first_error_of_an_item_is_raised() -> None:
    """Its lane stops there."""
    bench = Bench()
    lanes = lanes_with(bench, "a!1", "a2", "b!1")
    bench.release("a!1", "b!1")
    await until(lambda: bench.started == ["a!1", "b!1"])
    await lanes.drain(5)

    with pytest.raises(ZeroDivisionError):
        lanes.raise_failure()

    assert bench.started == ["a!1", "b!1"]
