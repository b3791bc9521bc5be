"""Scenes in which little goes wrong, so that more can be expected than in a storm."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from schemas.topics import dead_letter_topic
from tests.simulation.consumer import mishaps
from tests.simulation.consumer.cluster import Trouble
from tests.simulation.consumer.events import HOT_MAILBOX
from tests.simulation.consumer.rebalance_scenes import (
    commits_across_a_rebalance,
    new_log_under_old_work,
    rebalance_while_halted,
    rebalance_with_a_hot_key,
    topic_made_again_before_its_logs_are_known,
)
from tests.simulation.consumer.temporal_model import Mood
from tests.simulation.consumer.worker import INBOUND, Worker
from tests.simulation.consumer.world import World, child
from tests.simulation.consumer.writing import write

_STALL_S: Final = 10.0
_LETTERS_A_MINUTE: Final = 12
_SHORT_DRAIN_S: Final = 2.0
_CALLS_BEFORE_PROBES: Final = 8
"""Five failures in a row open the breaker; as many calls as the limit allows may be under way then."""
_BETWEEN_PROBES_S: Final = 1.0
_MAX_BYTES: Final = 1_500
_MAX_IN_FLIGHT: Final = 30
"""A record has 50 bytes at least, and a poll returns some more."""

Scene = Callable[[World, random.Random], Awaitable[None]]


async def graceful_changes(world: World, rng: random.Random) -> None:
    """Let workers come and go, and rebalance. They finish what they have begun, and commit it (rules 5 and 8)."""
    world.story.hooks["group stable"] = lambda: world.oracle.judge_hand_over(world.cluster.group.offsets)
    world.temporal.mood = Mood(latency_s=rng.choice((0.05, 0.4, 1.5)))
    world.hire()
    for _ in range(rng.randint(2, 5)):
        await write(world, rng, rng.randint(1, 8))
        await asyncio.sleep(rng.uniform(0, 4))
        rng.choice((mishaps.hire, mishaps.stop_worker, mishaps.force_rebalance))(world)
        if not world.running:
            world.hire()

    world.temporal.mood = Mood()
    await world.until_settled(60)
    if world.story.kinds["call abandoned"]:
        world.oracle.accuse("a worker left its partitions before a record was done")
    if world.story.most_within_a_second("OffsetCommit") > 4 * len(world.workers):
        world.oracle.accuse("offsets are committed more often than once a second")


async def hot_key(world: World, rng: random.Random) -> None:
    """Let one mailbox take nothing for a while: no other key waits for it, and the lag is right (rules 4 and 13)."""
    world.limits = replace(world.limits, max_records=4, max_read_ahead=4_096)
    world.hire()
    world.temporal.busy_mailbox = HOT_MAILBOX
    world.emitter.maker.hot_share = 0.6
    await asyncio.sleep(2)
    await write(world, rng, 8)
    world.emitter.end_transactions()

    others = world.oracle.done_but_for(HOT_MAILBOX)
    await world.until(others, 10)
    if not others():
        world.oracle.accuse("a key that is busy delays others")
    await asyncio.sleep(2.5)
    _judge_lag(world)
    world.temporal.busy_mailbox = None
    world.emitter.maker.hot_share = 0.0


async def narrow(world: World, rng: random.Random) -> None:
    """Let nobody take anything for a while: no more is read than the limit of bytes allows (rule 4)."""
    world.limits = replace(world.limits, max_records=20, max_bytes=_MAX_BYTES, max_read_ahead=4_096)
    worker = world.hire()
    await asyncio.sleep(1)
    world.temporal.mood = Mood(busy=1.0)
    await write(world, rng, 30)
    world.emitter.end_transactions()
    await asyncio.sleep(3)
    if worker.in_flight > _MAX_IN_FLIGHT:
        world.oracle.accuse(f"{worker.in_flight} records are in flight, and more bytes than allowed")
    world.temporal.mood = Mood()


async def nothing_to_read(world: World, rng: random.Random) -> None:
    """Let all brokers or Temporal be away, or a transaction be open, for longer than a stall (rules 6, 11 and 13)."""
    world.limits = replace(world.limits, stall_s=_STALL_S)
    world.hire()
    await asyncio.sleep(1)
    await write(world, rng, 4)
    world.emitter.end_transactions()
    await world.until_settled(20)
    await rng.choice((_brokers_away, _temporal_away, _open_transaction))(world, rng)

    if world.story.kinds["consumer rebuilt"] or world.story.kinds["worker ends: stalled"]:
        world.oracle.accuse("a consumer that could do nothing was taken for a stalled one")


async def dead_client(world: World, rng: random.Random) -> None:
    """Break the client: the worker notices, rebuilds it once, and ends if that was no help (rule 11)."""
    world.limits = replace(world.limits, stall_s=_STALL_S)
    worker = world.hire()
    await asyncio.sleep(1)
    worker.kill_fetcher()
    await write(world, rng, 3)
    world.emitter.end_transactions()
    if rng.random() < 0.5:
        return

    await world.until(lambda: world.story.kinds["consumer rebuilt"] == 1, 4 * _STALL_S)
    for _ in range(3):
        await world.until(worker.has_fetcher, 10)
        worker.kill_fetcher()
        await write(world, rng, 3)
        world.emitter.end_transactions()
        await world.until(lambda: worker.is_over or worker.has_fetcher(), 4 * _STALL_S)
        if not worker.is_over and not worker.has_fetcher():
            if not world.is_settled:
                world.oracle.accuse("a dead client goes unnoticed")

            return  # all is read: what the client had fetched, and what is read without it. So the worker was well

    if world.story.kinds["consumer rebuilt"] > 1:
        world.oracle.accuse("a consumer was rebuilt again, though the first time was no help")


async def bad_deploy(world: World, rng: random.Random) -> None:
    """Let nearly all records be bad: the breaker of dead letters stops the worker until somebody looks (rule 9)."""
    by_share = rng.random() < 0.5
    share_floor = _LETTERS_A_MINUTE if by_share else 1_000
    world.letter_limits = replace(
        world.letter_limits, per_minute=1_000 if by_share else _LETTERS_A_MINUTE, share=0.5, share_floor=share_floor
    )
    world.limits = replace(world.limits, drain_s=_SHORT_DRAIN_S)
    worker = world.hire()
    world.emitter.maker.bad_share = 1.0
    await asyncio.sleep(1)
    await write(world, rng, 24)
    world.emitter.end_transactions()
    await asyncio.sleep(6)
    if world.oracle.letters > _LETTERS_A_MINUTE * (2 if by_share else 1):
        world.oracle.accuse("dead letters are written without limit")
    if rng.random() < 0.5:
        await rebalance_while_halted(world, rng, worker)

    world.emitter.maker.bad_share = 0.0
    while not worker.is_over and worker.is_halted:
        await _resume(world, worker)


async def _resume(world: World, worker: Worker) -> None:
    """Let an operator close the breaker: it counts from zero."""
    before = world.story.kinds["dead letter"]
    worker.resume()
    await asyncio.sleep(3)
    if worker.is_halted and world.story.kinds["dead letter"] < before + _LETTERS_A_MINUTE:
        world.oracle.accuse("a breaker that was closed opens again before there are too many dead letters")


async def late_topics(world: World, rng: random.Random) -> None:
    """Create the dead letters' topics late: nobody creates them by asking, nothing is read before (issue 20, 8)."""
    topics = {dead_letter_topic(topic): world.cluster.topics.pop(dead_letter_topic(topic)) for topic in INBOUND}
    world.hire()
    await write(world, rng, 4)
    await asyncio.sleep(rng.uniform(1, 8))
    if world.story.kinds["offset committed"]:
        world.oracle.accuse("records were handled though there is no topic for dead letters")
    world.cluster.topics.update(topics)
    await write(world, rng, 4)
    await world.until_settled(20)

    for topic in topics:
        del world.cluster.topics[topic]
    world.emitter.maker.bad_share = 1.0
    await write(world, rng, 2)
    await asyncio.sleep(rng.uniform(1, 4))
    world.cluster.topics.update(topics)
    world.emitter.maker.bad_share = 0.0


async def odd_heartbeats(world: World, rng: random.Random) -> None:
    """Answer heartbeats with an error that the client does not know: all join again, also who owns nothing."""
    workers = world.cluster.topics[INBOUND[0]] + 1
    for _ in range(workers):
        world.hire()
    await asyncio.sleep(3)
    await write(world, rng, 3)
    world.cluster.troubles["Heartbeat"] = Trouble([-1], share=1.0)
    await asyncio.sleep(rng.uniform(3, 5))
    world.cluster.troubles.clear()
    await asyncio.sleep(14)
    if len(world.cluster.group.members) < workers:
        world.oracle.accuse("a worker has left its group for good")


async def old_answers(world: World, rng: random.Random) -> None:
    """Let a broker that was frozen tell once, and later again, where logs ended before: they are read on (rule 7)."""
    world.hire()
    await asyncio.sleep(1)
    for _ in range(2):
        await write(world, rng, 4)
        world.emitter.end_transactions()
        await world.until_settled(10)
        world.cluster.old_ends.update(place for place in world.cluster.logs if place[0] in INBOUND)
        await asyncio.sleep(rng.uniform(3, 5))


async def failed_commits(world: World, rng: random.Random) -> None:
    """Refuse commits for a while: what was done is committed afterwards, though nothing new comes (rule 5)."""
    world.hire()
    await asyncio.sleep(1)
    world.cluster.troubles["OffsetCommit"] = Trouble([rng.choice((-1, 29, 30))], share=1.0)
    await write(world, rng, 4)
    world.emitter.end_transactions()
    await asyncio.sleep(rng.uniform(1.5, 3))
    world.cluster.troubles.clear()
    await world.until_settled(15)
    if not world.oracle.is_settled(world.cluster.group.offsets):
        world.oracle.accuse("what was done is not committed once commits are possible again")


async def _brokers_away(world: World, rng: random.Random) -> None:
    for node in world.cluster.nodes.values():
        world.cluster.stop_node(node)
    await asyncio.sleep(2 * _STALL_S)
    for node in world.cluster.nodes.values():
        world.cluster.start_node(node)


async def _temporal_away(world: World, rng: random.Random) -> None:
    world.temporal.mood = Mood(refused=1.0)
    await write(world, rng, 8)
    await asyncio.sleep(3 * _STALL_S)
    probes = world.story.times_of("Temporal: refused")[_CALLS_BEFORE_PROBES:]
    if any(later - earlier < _BETWEEN_PROBES_S for earlier, later in pairwise(probes)):
        world.oracle.accuse("an outage of Temporal lets calls through that are no probes")
    world.temporal.mood = Mood()


async def _open_transaction(world: World, rng: random.Random) -> None:
    world.emitter.transaction_share = 1.0
    world.emitter.ends_transactions = False
    await write(world, rng, 3)
    await asyncio.sleep(2 * _STALL_S)
    _judge_lag(world)
    world.emitter.transaction_share = 0.0
    world.emitter.ends_transactions = True


def _judge_lag(world: World) -> None:
    """Nothing has moved for a while, so what the only worker reports must be exact."""
    for worker in world.running:
        for position in worker.positions():
            world.oracle.judge_lag(position)


SCENES: Final[Sequence[Scene]] = (
    graceful_changes,
    graceful_changes,
    hot_key,
    narrow,
    nothing_to_read,
    nothing_to_read,
    odd_heartbeats,
    rebalance_with_a_hot_key,
    commits_across_a_rebalance,
    new_log_under_old_work,
    dead_client,
    bad_deploy,
    failed_commits,
    late_topics,
    old_answers,
    topic_made_again_before_its_logs_are_known,
)


async def play(world: World) -> None:
    """Play one of the scenes."""
    rng = child(world.rng)
    scene = rng.choice(SCENES)
    world.story.add(f"scene: {scene.__name__.replace('_', ' ')}")
    await scene(world, rng)
