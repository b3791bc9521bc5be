"""What the simulation found in the worker, each as the shortest story that shows it."""

import asyncio

import pytest

from tests.simulation.consumer.cluster import Trouble
from tests.simulation.consumer.temporal_model import Mood
from tests.simulation.consumer.worker import INBOUND
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


@pytest.mark.parametrize("seed", range(3))
def test_a_commit_that_lands_on_a_new_log_is_taken_back_before_another_worker_reads_it(seed: int) -> None:
    """Seed 329: it was under way when the topic was made again, and a revocation came before the new log was begun."""

    async def recreation(world: World) -> None:
        cluster = world.cluster
        first = world.hire()
        await _write(world, 8)
        await world.until_settled(20)
        world.temporal.mood = Mood(busy=1.0)
        await _write(world, 8)
        cluster.group.rebalance()
        await asyncio.sleep(3.5)

        committed = dict(cluster.group.offsets)
        for topic in INBOUND:
            cluster.replace_topic(topic)
            for log in cluster.logs_of(topic):
                world.oracle.log_goes_backwards(log)
                world.oracle.log_goes_on(log)
        cluster.group.offsets.update(committed)
        await _write(world, 40)
        await asyncio.sleep(4)

        first.stop()
        world.hire()
        await asyncio.sleep(2)
        world.temporal.mood = Mood()
        await world.until(lambda: first.is_over, 30)
        for log in [log for topic in INBOUND for log in cluster.logs_of(topic)]:
            world.oracle.new_log_is_known(log)

    assert simulate(seed, recreation).violations == []


async def _write(world: World, times: int) -> None:
    for _ in range(times):
        world.emitter.write(world.rng.getrandbits(64))
        await asyncio.sleep(0.02)
    world.emitter.end_transactions()
