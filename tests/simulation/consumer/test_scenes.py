"""Each scene holds on the worker as it is. That a broken worker is noticed, the mutants show."""

import pytest

from tests.simulation.consumer.plots import make_peace
from tests.simulation.consumer.scenes import SCENES, Scene, dead_client
from tests.simulation.consumer.world import Plot, World, child, simulate


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("scene", dict.fromkeys(SCENES))
def test_a_scene_holds(scene: Scene, seed: int) -> None:
    """Nothing that the scene expects is violated, and all records are done in the end."""
    assert simulate(seed, _alone(scene)).violations == []


def test_a_worker_whose_client_died_after_all_was_read_has_not_stalled() -> None:
    """Found as seed 14421 of an earlier version: it was well after its rebuild, so it might have been rebuilt again."""
    result = simulate(639, _alone(dead_client))

    assert result.violations == []
    assert (result.story.kinds["client broken"], result.story.kinds["consumer rebuilt"]) == (2, 1)


def _alone(scene: Scene) -> Plot:
    async def plot(world: World) -> None:
        await scene(world, child(world.rng))
        await make_peace(world)

    return plot
