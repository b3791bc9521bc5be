"""What happens once, however often it is asked for."""

import asyncio

import pytest

from activities.once import Once


class Effect:
    """Counts how often it began; ends when told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.error: Exception | None = None
        self.go_on = asyncio.Event()

    async def start(self) -> int:
        """Return the number of this beginning, or raise the error."""
        self.begun += 1
        number = self.begun
        await self.go_on.wait()

        if self.error is not None:
            raise self.error
        return number


async def test_a_second_call_waits_for_the_first() -> None:
    """Both get what the first one returned."""
    effect = Effect()
    once = Once[int](10)

    calls = [asyncio.create_task(once.run("a", effect.start)) for _ in range(2)]
    await asyncio.sleep(0)
    effect.go_on.set()

    assert await asyncio.gather(*calls) == [1, 1]


async def test_a_call_that_is_cancelled_leaves_the_effect_to_the_next() -> None:
    """Temporal cancels a try that it holds for dead, and makes another."""
    effect = Effect()
    once = Once[int](10)

    first = asyncio.create_task(once.run("a", effect.start))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    effect.go_on.set()

    assert await once.run("a", effect.start) == 1


async def test_what_failed_is_done_again() -> None:
    """Only a success is remembered. Keys do not matter to each other."""
    effect = Effect()
    effect.go_on.set()
    effect.error = ValueError()
    once = Once[int](10)

    with pytest.raises(ValueError):
        await once.run("a", effect.start)
    effect.error = None

    assert [await once.run(key, effect.start) for key in ("a", "a", "b")] == [2, 2, 3]


async def test_the_oldest_is_forgotten() -> None:
    """What has not ended never is."""
    effect = Effect()
    slow = Effect()
    effect.go_on.set()
    once = Once[int](2)

    waiting = asyncio.create_task(once.run("slow", slow.start))
    await asyncio.sleep(0)
    assert [await once.run(key, effect.start) for key in ("a", "b", "c", "a")] == [1, 2, 3, 4]

    slow.go_on.set()
    assert [await waiting, await once.run("slow", slow.start), slow.begun] == [1, 1, 1]
