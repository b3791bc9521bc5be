"""Scenes of what a rebalance or a new log must not carry over."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tests.simulation.consumer.cluster import Trouble
from tests.simulation.consumer.partition_log import PartitionLog
from tests.simulation.consumer.temporal_model import Mood
from tests.simulation.consumer.worker import INBOUND, Worker
from tests.simulation.consumer.world import World
from tests.simulation.consumer.writing import write, write_at_once

_REBALANCE_S: Final = 8.0
_KNOWN_BY_ID_WITHIN_S: Final = 8.0
_LOADING: Final = 14
_UNKNOWN_ERROR: Final = -1


async def rebalance_with_a_hot_key(world: World, rng: random.Random) -> None:
    """Queue much behind one key, and rebalance: only what is in work is waited for (rule 8)."""
    world.limits = replace(world.limits, max_records=512, max_read_ahead=4_096)
    world.hire()
    world.temporal.mood = Mood(latency_s=0.3)
    world.emitter.maker.hot_share = 1.0
    await asyncio.sleep(1.5)
    await write(world, rng, 24)
    world.emitter.end_transactions()
    await asyncio.sleep(1)

    if not await _rebalance(world):
        world.oracle.accuse("a rebalance waits for what is queued behind a key")
    world.temporal.mood = Mood()


async def rebalance_while_halted(world: World, rng: random.Random, worker: Worker) -> None:
    """Rebalance while a breaker is open. That ends all pauses of the client, and not the reason for them (rule 7)."""
    await _rebalance(world)
    await write(world, rng, 6)
    world.emitter.end_transactions()
    await asyncio.sleep(3)
    if worker.is_halted and worker.in_flight:
        world.oracle.accuse(f"{worker.in_flight} records were read after a rebalance, though a breaker is open")


async def commits_across_a_rebalance(world: World, rng: random.Random) -> None:
    """Let most commits be refused around rebalances: the last one of an assignment is the last to land (rule 8)."""
    world.oracle.offsets_may_fall = False
    world.hire()
    await asyncio.sleep(1.5)
    for _ in range(3):
        world.cluster.troubles["OffsetCommit"] = Trouble([_LOADING], share=0.9)
        for _ in range(rng.randint(2, 4)):
            await write(world, rng, 2)
            world.emitter.end_transactions()
            await asyncio.sleep(rng.uniform(0.2, 0.6))
        await _rebalance(world)
        await asyncio.sleep(rng.uniform(0.5, 2))

    world.cluster.troubles.clear()
    await world.until_settled(20)


async def new_log_under_old_work(world: World, rng: random.Random) -> None:
    """Make a topic again while records of it are in work: their end says nothing of the new log's records (rule 7)."""
    world.limits = replace(world.limits, max_records=512, max_read_ahead=4_096)
    world.hire()
    await asyncio.sleep(1.5)
    world.temporal.mood = Mood(busy=1.0)
    await write(world, rng, 8)
    world.emitter.end_transactions()
    await asyncio.sleep(1)

    logs = make_topic_again(world, rng.choice(INBOUND))
    await write(world, rng, 8)
    world.emitter.end_transactions()
    await _until_known(world, logs)
    world.temporal.mood = Mood()


async def topic_made_again_before_its_logs_are_known(world: World, rng: random.Random) -> None:
    """Make a topic again while nobody says where logs end. It is longer at once, so only its id tells (rule 7)."""
    first = world.hire()
    await asyncio.sleep(1.5)
    await write(world, rng, 2)
    world.emitter.end_transactions()
    await world.until_settled(10)

    world.cluster.troubles["ListOffsets"] = Trouble([_UNKNOWN_ERROR], share=1.0)
    first.stop()
    await world.until(lambda: first.is_over, 30)
    await write(world, rng, 1)
    world.emitter.end_transactions()
    await world.until_settled(10)

    logs = make_topic_again(world, rng.choice(INBOUND))
    write_at_once(world, rng, 16)
    world.emitter.end_transactions()
    await asyncio.sleep(rng.uniform(0, 2))

    world.cluster.troubles.clear()
    await _until_known(world, logs)


def make_topic_again(world: World, topic: str) -> list[PartitionLog]:
    """Delete a topic and create it again. Return its logs: emitters may write to them at once."""
    world.cluster.replace_topic(topic)
    logs = list(world.cluster.logs_of(topic))
    for log in logs:
        world.oracle.log_goes_backwards(log)
        world.oracle.log_goes_on(log)
    return logs


async def _until_known(world: World, logs: Sequence[PartitionLog]) -> None:
    """Wait until the worker says of so many logs that they are other ones, and judge commits from then on."""
    await world.until(lambda: world.story.kinds["log replaced"] >= len(logs), _KNOWN_BY_ID_WITHIN_S)
    for log in logs:
        world.oracle.new_log_is_known(log)


async def _rebalance(world: World) -> bool:
    """Rebalance, and return whether the group is stable again in time."""
    stable = world.story.kinds["group stable"]
    world.cluster.group.rebalance()
    await world.until(lambda: world.story.kinds["group stable"] > stable, _REBALANCE_S)
    return world.story.kinds["group stable"] > stable
