"""What can go wrong, each for a while: in the network, the brokers, the group, Temporal, and the workers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tests.simulation.consumer.cluster import NO_LEADER, Trouble
from tests.simulation.consumer.network import Weather
from tests.simulation.consumer.temporal_model import Mood
from tests.simulation.consumer.worker import INBOUND, Worker
from tests.simulation.consumer.world import World

Mishap = Callable[[World], None]

_ERRORS: Final[Mapping[str, Sequence[int]]] = {
    "Fetch": (-1, 3, 6, 29, 56),
    "FindCoordinator": (-1, 15, 30),
    "Heartbeat": (-1, 15, 16, 22, 25, 27, 30),
    "InitProducerId": (-1, 14, 15),
    "JoinGroup": (-1, 14, 15, 16, 25, 30),
    "ListOffsets": (-1, 3, 6, 29),
    "Metadata": (5, 29),
    "OffsetCommit": (-1, 14, 15, 16, 22, 25, 27, 29, 30),
    "OffsetFetch": (-1, 14, 16, 30),
    "Produce": (-1, 3, 6, 7, 19, 29),
    "SyncGroup": (-1, 16, 25, 27, 30),
}
"""Codes that brokers give, also while rights are taken away (29, 30)."""

_MAX_WORKERS: Final = 3
_MAX_PARTITIONS: Final = 4


def cut_connections(world: World) -> None:
    """Cut some of the connections."""
    world.network.cut_all(lambda _: world.rng.random() < 0.5)


def silence_connection(world: World) -> None:
    """Let nothing through one connection any more."""
    if world.network.links:
        world.rng.choice(world.network.links).silence()


def slow_network(world: World) -> None:
    """Let some messages take seconds."""
    world.story.add("network slow")
    world.network.weather = Weather(slow_share=world.rng.random() * 0.5, slow_s=world.rng.choice((0.3, 2.0, 6.0)))
    world.later(world.rng.uniform(1, 8), lambda: setattr(world.network, "weather", Weather()))


def slow_broker(world: World) -> None:
    """Let one broker take its time."""
    node = world.rng.choice(list(world.cluster.nodes.values()))
    world.story.add("broker slow", node.name)
    node.slow_s = world.rng.choice((0.2, 1.0, 4.0))
    world.later(world.rng.uniform(1, 8), lambda: setattr(node, "slow_s", 0.0))


def stop_broker(world: World) -> None:
    """Stop a broker for a while, even if it is the last one."""
    node = world.rng.choice(list(world.cluster.nodes.values()))
    if node.is_up:
        world.cluster.stop_node(node)
        world.later(world.rng.uniform(0.5, 10), lambda: world.cluster.start_node(node))


def move_leader(world: World) -> None:
    """Let another broker lead a partition."""
    world.cluster.move_leader(*world.rng.choice(list(world.cluster.logs)))


def lose_leader(world: World) -> None:
    """Leave a partition without a leader for a while."""
    place = world.rng.choice(list(world.cluster.logs))
    world.cluster.move_leader(*place, to=NO_LEADER)
    world.later(world.rng.uniform(0.5, 5), lambda: world.cluster.move_leader(*place))


def move_coordinator(world: World) -> None:
    """Let another broker coordinate the group."""
    if world.cluster.live_nodes:
        world.cluster.move_coordinator(world.rng.uniform(0.0, 2.0))


def answer_with_errors(world: World) -> None:
    """Answer some requests of one kind with an error; some of them are carried out all the same."""
    name = world.rng.choice(list(_ERRORS))
    codes = world.rng.sample(_ERRORS[name], world.rng.randint(1, len(_ERRORS[name])))
    world.cluster.troubles[name] = Trouble(codes, world.rng.choice((0.2, 0.6, 1.0)), world.rng.random() < 0.4)
    world.later(world.rng.uniform(0.3, 6), lambda: world.cluster.troubles.pop(name, None))


def force_rebalance(world: World) -> None:
    """Let all members join again."""
    if world.cluster.group.state == "stable":
        world.cluster.group.rebalance()


def expire_member(world: World) -> None:
    """Throw one member out, as if it had not been heard of."""
    members = list(world.cluster.group.members)
    if members:
        world.cluster.group.expire(world.rng.choice(members))


def forget_members(world: World) -> None:
    """Let the coordinator lose all members."""
    world.cluster.group.forget_members()


def hire(world: World) -> None:
    """Start another worker."""
    if len(world.running) < _MAX_WORKERS:
        world.hire()


def stop_worker(world: World) -> None:
    """Stop a worker as in a roll-out, and start another one in its place."""
    _one_of(world, lambda worker: worker.stop())


def kill_worker(world: World) -> None:
    """Kill a worker, and start another one in its place."""
    _one_of(world, lambda worker: worker.kill())


def freeze_worker(world: World) -> None:
    """Freeze a worker for a while: perhaps for longer than its session lasts."""
    running = world.running
    if running:
        worker = world.rng.choice(running)
        worker.freeze()
        world.later(world.rng.choice((0.5, 3.0, 15.0)) * world.rng.random(), worker.thaw)


def trouble_temporal(world: World) -> None:
    """Let Temporal be slow, deaf, forgetful, busy or throttling for a while."""
    share = world.rng.choice((0.1, 0.5, 1.0))
    trouble = world.rng.choice(("slow", "lost", "unanswered", "throttled", "busy", "misconfigured"))
    world.story.add(f"Temporal turns: {trouble}", f"{share:.0%}")
    world.temporal.mood = Mood(**{trouble: share})
    world.later(world.rng.uniform(1, 10), lambda: setattr(world.temporal, "mood", Mood()))


def delete_old_records(world: World) -> None:
    """Let retention delete the older half of a log, read or not, but nothing of an open transaction."""
    log = world.cluster.logs[world.rng.choice(INBOUND), 0]
    log.delete_before(log.start + (log.stable_end - log.start) // 2)
    world.oracle.log_was_shortened(log)
    world.story.add("old records deleted", f"{log.topic}/{log.number} before {log.start}")


def add_partition(world: World) -> None:
    """Add a partition to a topic. The worker finds it when it asks for metadata again."""
    topic = world.rng.choice(INBOUND)
    if world.cluster.topics[topic] < _MAX_PARTITIONS:
        world.story.add("partition added", topic)
        world.oracle.watch(world.cluster.add_partition(topic))


def isolate_worker(world: World) -> None:
    """Let nothing through between a worker and a broker for a while, in either direction."""
    if world.running:
        worker = world.rng.choice(world.running)
        node = world.rng.choice(list(world.cluster.nodes.values()))
        world.network.block(worker.name, node.name)
        world.later(world.rng.uniform(1, 15), lambda: world.network.unblock(worker.name, node.name))


def _one_of(world: World, end: Callable[[Worker], None]) -> None:
    running = [worker for worker in world.running if worker.process.runs]
    if running:
        end(world.rng.choice(running))
        world.later(world.rng.uniform(0, 3), lambda: hire(world))


ALL: Final[Sequence[Mishap]] = (
    add_partition,
    answer_with_errors,
    answer_with_errors,
    answer_with_errors,
    cut_connections,
    cut_connections,
    delete_old_records,
    expire_member,
    force_rebalance,
    force_rebalance,
    forget_members,
    freeze_worker,
    hire,
    isolate_worker,
    kill_worker,
    lose_leader,
    move_coordinator,
    move_leader,
    silence_connection,
    slow_broker,
    slow_network,
    stop_broker,
    stop_worker,
    trouble_temporal,
    trouble_temporal,
    trouble_temporal,
)
"""Each as often as it is drawn."""
