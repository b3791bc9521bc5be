"""What the simulation found in the worker, each as the shortest story that shows it."""

import asyncio

import pytest

from tests.simulation.consumer.cluster import Trouble
from tests.simulation.consumer.world import World, simulate

_UNKNOWN_SERVER_ERROR = -1
_MORE_THAN_PARTITIONS = 4


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "request_name", ["Heartbeat", "OffsetFetch", "JoinGroup", "SyncGroup", "FindCoordinator", "OffsetCommit"]
)
def test_an_odd_answer_of_the_coordinator_stops_the_worker_for_seconds_only(seed: int, request_name: str) -> None:
    """The client keeps such an error until it is asked. The worker joins again before it counts as stalled."""

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


@pytest.mark.parametrize("seed", range(3))
def test_a_member_without_partitions_joins_again_after_an_odd_answer(seed: int) -> None:
    """Seed 762: it polls nothing, so nobody took the error that its client had for it, and it left the group unseen."""

    async def odd_answers(world: World) -> None:
        for _ in range(_MORE_THAN_PARTITIONS):
            world.hire()
        await asyncio.sleep(3)
        world.cluster.troubles["Heartbeat"] = Trouble([_UNKNOWN_SERVER_ERROR], share=1.0)
        await asyncio.sleep(5)
        world.cluster.troubles.clear()
        await asyncio.sleep(20)
        assert len(world.cluster.group.members) == _MORE_THAN_PARTITIONS

    assert simulate(seed, odd_answers).violations == []
