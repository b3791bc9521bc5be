"""The loop's time is virtual, and a seed decides the order of what is ready."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import pytest

from consumers.polling.assignment import Assignment
from tests.simulation.consumer.clocks import simulated_clocks
from tests.simulation.consumer.event_loop import Deadlock, SimulatedLoop
from tests.simulation.consumer.processes import Process


def run(work: Callable[[], Awaitable[None]], seed: int = 0, disorder: float = 0.5) -> SimulatedLoop:
    """Run a coroutine on a new loop, and return the loop."""
    loop = SimulatedLoop(random.Random(seed), disorder)

    async def main() -> None:
        await work()

    loop.run_until_complete(main())
    return loop


def order_of_wakeups(seed: int, disorder: float = 0.5) -> list[int]:
    """Return the order in which ten tasks that wait for one event go on."""
    woken: list[int] = []

    async def main() -> None:
        bell = asyncio.Event()

        async def wait(number: int) -> None:
            await bell.wait()
            await asyncio.sleep(0)
            woken.append(number)

        tasks = [asyncio.create_task(wait(number)) for number in range(10)]
        await asyncio.sleep(1)
        bell.set()
        await asyncio.gather(*tasks)

    run(main, seed, disorder)
    return woken


def test_sleeping_takes_no_real_time() -> None:
    """A day passes in a moment."""

    async def main() -> None:
        await asyncio.sleep(86_400)

    began = time.perf_counter()
    loop = run(main)

    assert loop.time() == pytest.approx(86_400, abs=0.01)
    assert time.perf_counter() - began < 1


def test_the_same_seed_gives_the_same_order() -> None:
    """Tasks that are ready together go on in an order that only the seed decides."""
    orders = [order_of_wakeups(seed) for seed in range(20)]

    assert orders == [order_of_wakeups(seed) for seed in range(20)]
    assert len({tuple(order) for order in orders}) > 10


def test_without_disorder_the_order_is_that_of_asyncio() -> None:
    """First ready, first run."""
    assert order_of_wakeups(1, disorder=0) == list(range(10))


def test_callbacks_of_one_callback_keep_their_order() -> None:
    """What one callback schedules is run in the order in which it was scheduled, whatever the seed."""
    called: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(10):
            loop.call_soon(called.append, number)
        await asyncio.sleep(1)

    for seed in range(20):
        called.clear()
        run(main, seed, disorder=1.0)
        assert called == list(range(10))


def test_a_loop_in_which_nothing_can_happen_says_so() -> None:
    """A future that nobody completes is a deadlock, not a test that hangs."""

    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run(main)


def test_the_workers_clocks_show_the_loops_time() -> None:
    """Clocks that are defaults of parameters are replaced too, and come back."""

    def clock_of_an_assignment() -> float:
        return Assignment()._stopwatch()

    shown: list[float] = []

    async def main() -> None:
        await asyncio.sleep(1_000_000)
        shown.extend([time.monotonic(), clock_of_an_assignment()])

    loop = SimulatedLoop(random.Random(0))
    with simulated_clocks(loop.time, seed=0):
        loop.run_until_complete(main())

    assert shown == [pytest.approx(1_000_000, abs=0.01)] * 2
    assert clock_of_an_assignment() == pytest.approx(time.monotonic(), abs=60)


def test_a_frozen_process_goes_on_later_and_a_killed_one_never() -> None:
    """Its timers run out meanwhile; what they would have done waits, or is forgotten."""
    frozen = Process("frozen")
    killed = Process("killed")
    done: list[tuple[str, int]] = []

    async def work(name: str) -> None:
        await asyncio.sleep(1)
        done.append((name, round(asyncio.get_running_loop().time())))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        for process in (frozen, killed):
            loop.create_task(work(process.name), context=process.context)
        await asyncio.sleep(0.1)
        frozen.freeze()
        killed.kill()
        await asyncio.sleep(10)
        loop.put_back(frozen.thaw())
        await asyncio.sleep(10)
        loop.forget_tasks()

    run(main)

    assert done == [("frozen", 10)]
