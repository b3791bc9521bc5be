"""What happens in a simulation, drawn from its seed: events, mishaps, and then peace."""

import asyncio
import random
from collections.abc import Sequence
from typing import Final

from tests.simulation.consumer import mishaps
from tests.simulation.consumer.network import Weather
from tests.simulation.consumer.partition_log import PartitionLog
from tests.simulation.consumer.rebalance_scenes import make_topic_again
from tests.simulation.consumer.scenes import play
from tests.simulation.consumer.temporal_model import Mood
from tests.simulation.consumer.worker import INBOUND
from tests.simulation.consumer.world import World, child

_EVENTS_PER_S: Final = 3.0
_SCENES_SHARE: Final = 0.3
_NEW_LOG_SHARE: Final = 0.25
_NOTICED_WITHIN_S: Final = 12.0
_KNOWN_BY_ID_WITHIN_S: Final = 8.0
_CALM_S: Final = 20.0
"""A breaker that a misconfigured Temporal opened may take 15 s to notice that all is well."""
_GROWS_AFTER_S: Final = (1.5, 2.5)
_MILD: Final[Sequence[mishaps.Mishap]] = (
    mishaps.trouble_temporal,
    mishaps.force_rebalance,
    mishaps.move_leader,
)


async def storm(world: World) -> None:
    """Let events and mishaps come at random for a while.

    In some worlds a log goes backwards, and little else. In others a scene is played in which more can be expected.
    """
    if world.rng.random() < _SCENES_SHARE:
        await play(world)
        return await make_peace(world)

    rng = child(world.rng)
    world.hire()
    if rng.random() < _NEW_LOG_SHARE:
        await _new_logs(world, rng)
    else:
        await _events_and_mishaps(world, rng, mishaps.ALL, rng.uniform(1, 9), rng.uniform(0.2, 1.5))

    await make_peace(world)


async def make_peace(world: World) -> None:
    """End all that goes wrong, and every transaction, and have a worker."""
    world.story.add("peace")
    end_mishaps(world)
    for worker in world.workers:
        worker.thaw()
    if not world.running:
        world.hire()

    await asyncio.sleep(0.1)
    world.emitter.end_transactions()


def end_mishaps(world: World) -> None:
    """End all that goes wrong in the cluster, the network and Temporal."""
    world.cancel_later()
    world.cluster.troubles.clear()
    world.network.weather = Weather()
    world.temporal.mood = Mood()
    for node in world.cluster.nodes.values():
        node.slow_s = 0.0
        world.cluster.start_node(node)
    for place, leader in list(world.cluster.leaders.items()):
        if leader < 0:
            world.cluster.move_leader(*place)

    world.network.unblock_all()


async def _events_and_mishaps(
    world: World, rng: random.Random, choice: Sequence[mishaps.Mishap], lasts_s: float, mishap_every_s: float
) -> None:
    end = world.loop.time() + lasts_s
    next_event = rng.expovariate(_EVENTS_PER_S)
    next_mishap = 2 * rng.random()

    while world.loop.time() < end:
        wait_s = min(next_event, next_mishap)
        await asyncio.sleep(wait_s)
        next_event -= wait_s
        next_mishap -= wait_s
        if next_event <= 0:
            world.move(_write, rng.getrandbits(64))
            next_event = rng.expovariate(_EVENTS_PER_S)
        if next_mishap <= 0:
            world.move(rng.choice(choice), rng.getrandbits(64))
            next_mishap = rng.expovariate(1 / mishap_every_s)


async def _new_logs(world: World, rng: random.Random) -> None:
    """Let one log lose its end, or a topic be deleted and created again."""
    await _events_and_mishaps(world, rng, _MILD, rng.uniform(1, 6), 2)
    topic = rng.choice(INBOUND)

    if rng.random() < 0.6:
        await _truncate(world, rng, rng.choice(list(world.cluster.logs_of(topic))))
    else:
        await _recreate(world, rng, topic)
    await _events_and_mishaps(world, rng, _MILD, rng.uniform(1, 3), 2)


async def _truncate(world: World, rng: random.Random, log: PartitionLog) -> None:
    """Lose the end of a log. Nothing but its end shows the worker that it is another one, so it must be seen in time.

    All is calm before: what the client has fetched ahead of a partition that stands still would pass for the new log.
    After it, the log grows as soon as a fetch has seen it, or stays short for a while, whatever Temporal does.
    """
    end_mishaps(world)
    world.emitter.end_transactions()
    await world.until_settled(_CALM_S)
    kept = log.truncate(int(rng.random() * (log.end + 1)))
    world.story.add("log truncated", f"{log.topic}/{log.number} to {kept}")
    world.oracle.log_goes_backwards(log)

    if rng.random() < 0.5:
        await asyncio.sleep(rng.uniform(*_GROWS_AFTER_S))
        world.oracle.log_goes_on(log)
        await _write_much(world, rng)
    else:
        world.move(mishaps.trouble_temporal, rng.getrandbits(64))
    await _until_noticed(world, 1, _NOTICED_WITHIN_S)
    world.oracle.log_goes_on(log)
    world.oracle.new_log_is_known(log)


async def _recreate(world: World, rng: random.Random, topic: str) -> None:
    """Delete a topic and create it again. It may fill at once: the worker knows it by its id."""
    if rng.random() < 0.5:
        await _begin_long_revocation(world, rng)
    logs = make_topic_again(world, topic)

    await _write_much(world, rng)
    await _until_noticed(world, len(logs), _KNOWN_BY_ID_WITHIN_S)
    for log in logs:
        world.oracle.new_log_is_known(log)


async def _begin_long_revocation(world: World, rng: random.Random) -> None:
    """Rebalance while records are in work that no mailbox takes: the revocation waits for them, 15 s at most."""
    world.temporal.mood = Mood(busy=1.0)
    world.later(rng.uniform(8, 20), lambda: setattr(world.temporal, "mood", Mood()))
    await _write_much(world, rng)
    mishaps.force_rebalance(world)
    await asyncio.sleep(rng.uniform(0, 3.5))


async def _until_noticed(world: World, logs: int, limit_s: float) -> None:
    """Wait until the worker says of so many logs that they are other ones, but no longer than it may take."""
    enough = world.story.kinds["log replaced"] + logs
    await world.until(lambda: world.story.kinds["log replaced"] >= enough, limit_s)


async def _write_much(world: World, rng: random.Random) -> None:
    for _ in range(rng.randint(0, 40)):
        world.move(_write, rng.getrandbits(64))
        await asyncio.sleep(0.03 * rng.random())


def _write(world: World) -> None:
    world.emitter.write(world.rng.getrandbits(64))
