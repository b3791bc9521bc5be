"""What the simulation found in the worker, each as the shortest story that shows it."""

import asyncio

import pytest

from tests.simulation.consumer.cluster import Trouble
from tests.simulation.consumer.world import World, simulate

_UNKNOWN_SERVER_ERROR = -1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("request_name", ["Heartbeat", "OffsetFetch"])
def test_an_odd_answer_of_the_coordinator_stops_the_worker_for_seconds_only(seed: int, request_name: str) -> None:
    """A task of the client ends for ever then. The worker joins again, and does not wait until it counts as stalled."""

    async def odd_answers(world: World) -> None:
        world.hire()
        await asyncio.sleep(2)
        world.cluster.troubles[request_name] = Trouble([_UNKNOWN_SERVER_ERROR], share=1.0)
        world.cluster.group.rebalance()
        await asyncio.sleep(5)
        world.cluster.troubles.clear()
        world.emitter.write(world.rng.getrandbits(64))
        world.emitter.end_transactions()

    result = simulate(seed, odd_answers)

    assert result.violations == []
    assert result.story.kinds["consumer rebuilt"] == 0
    assert result.simulated_s < 20
