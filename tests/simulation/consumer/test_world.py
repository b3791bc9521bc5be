"""The real consumer reads from the scripted cluster, and the oracle notices when it does not."""

import asyncio
import weakref

import pytest

from tests.simulation.consumer.world import World, simulate


async def quiet_day(world: World) -> None:
    """One worker, a few batches, no faults."""
    world.hire()
    for _ in range(8):
        await asyncio.sleep(world.rng.random())
        world.emitter.write(world.rng.getrandbits(64))
    world.emitter.end_transactions()


@pytest.mark.parametrize("seed", range(4))
def test_the_worker_reads_and_commits_everything(seed: int) -> None:
    """Without faults, every record is applied or dead-lettered, every offset committed, and the member leaves."""
    result = simulate(seed, quiet_day)

    assert result.violations == []
    assert result.story.kinds["record applied"] > 0
    assert result.story.kinds["offset committed"] > 0
    assert result.story.kinds["member left"] == 1


def test_the_same_seed_tells_the_same_story() -> None:
    """Event by event, with the same times to the microsecond."""
    first = simulate(7, quiet_day, told=True).story
    second = simulate(7, quiet_day, told=True).story

    assert [str(each) for each in first.happenings] == [str(each) for each in second.happenings]
    assert first.digest == second.digest != simulate(8, quiet_day).story.digest


def test_the_story_does_not_change_when_it_is_told() -> None:
    """Keeping the events and the log is no event."""
    assert simulate(5, quiet_day, told=True).story.digest == simulate(5, quiet_day).story.digest


def test_nothing_of_a_world_is_left() -> None:
    """Not even where a task is closed in the middle, and starts another one to clean up after itself."""
    worlds: list[weakref.ref[World]] = []

    async def clean_up(_world: World) -> None:
        """Do nothing."""

    async def work(world: World) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            asyncio.ensure_future(clean_up(world))

    async def half_done(world: World) -> None:
        worlds.append(weakref.ref(world))
        asyncio.ensure_future(work(world))
        world.hire()
        await asyncio.sleep(1)

    simulate(7, half_done)

    assert worlds[0]() is None
