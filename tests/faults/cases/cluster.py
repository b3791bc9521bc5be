"""A cluster of three brokers, of which some are killed, rolled, frozen, cut off or moved while people sign in."""

import asyncio
from typing import Final

from deploy.local.places import free_ports
from deploy.local.servers.kafka_node import KafkaNode, NodePorts
from tests.faults.case import Case
from tests.faults.cluster_admin import ClusterAdmin
from tests.faults.stage import Stage

_FREEZE_S: Final = 40.0  # as long as a request of the worker may take
_MINORITY_S: Final = 20.0
_NODES: Final = (1, 2, 3)


async def each_broker_killed(stage: Stage) -> str:
    """Kill one broker after the other. People are served while it is away."""
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        for node in _in_turn(stage):
            await asyncio.sleep(stage.scale.pause_s)
            await asyncio.to_thread(node.kill)
            await stage.wait_until_recovered()
            await asyncio.sleep(stage.scale.pause_s)
            await bring_back(stage, node)

    return f"{_of_three(stage)} killed; all was done before it came back"


async def brokers_rolled(stage: Stage) -> str:
    """Shut down and restart one broker after the other, each once the one before is in sync again."""
    await asyncio.gather(stage.start_worker(), stage.start_worker())
    async with stage.crowd.arriving(stage.scale.every_s):
        for _ in range(stage.scale.rounds):
            for node in _brokers(stage):
                await asyncio.to_thread(node.shut_down)
                await bring_back(stage, node)
            await stage.wait_until_recovered()

    return f"all three restarted {_times(stage.scale.rounds)}"


async def each_broker_frozen(stage: Stage) -> str:
    """Freeze one broker after the other: its connections stay open, and the others elect new leaders."""
    frozen_s = min(_FREEZE_S, 4 * stage.scale.outage_s)
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        for node in _in_turn(stage):
            await asyncio.sleep(stage.scale.pause_s)
            await asyncio.to_thread(node.freeze)
            await asyncio.sleep(frozen_s)
            await asyncio.to_thread(node.thaw)
            await stage.wait_until_recovered()
            await wait_until_in_sync(stage)

    return f"{_of_three(stage)} frozen for {frozen_s:.0f} s"


async def each_broker_cut_off(stage: Stage) -> str:
    """Let the worker not reach one broker after the other, while the brokers reach each other: no leader moves."""
    cut_off_s = min(_FREEZE_S, 4 * stage.scale.outage_s)
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        for proxy in stage.servers.kafka_proxies[: len(_in_turn(stage))]:
            await asyncio.sleep(stage.scale.pause_s)
            proxy.hold()
            await asyncio.sleep(cut_off_s)
            await proxy.cut()
            proxy.open()
            await stage.wait_until_recovered()

    return f"{_of_three(stage)} out of the worker's reach for {cut_off_s:.0f} s"


async def two_brokers_away(stage: Stage) -> str:
    """Kill two of three brokers: nothing can be written, and no controller is elected, until one is back."""
    away_s = min(_MINORITY_S, stage.scale.outage_s)
    nodes = _brokers(stage)
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        for number in range(len(_in_turn(stage))):
            await asyncio.sleep(stage.scale.pause_s)
            for node in (nodes[number], nodes[number - 1]):
                await asyncio.to_thread(node.kill)
            await asyncio.sleep(away_s)
            await stage.servers.restart_kafka()
            await stage.wait_until_recovered()
            await wait_until_in_sync(stage)

    return f"two of three away for {away_s:.0f} s, {_times(len(_in_turn(stage)))}"


async def leaders_moved(stage: Stage) -> str:
    """Take every partition of the topics and of the offsets from its leader, as a rebalancing tool does."""
    moved = 0
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        for _ in range(stage.scale.rounds):
            await asyncio.sleep(2 * stage.scale.pause_s)
            moved += await move_every_leader(stage)

    return f"{moved} partitions got another leader"


async def move_every_leader(stage: Stage) -> int:
    """Take every partition from its leader, wait for recovery, and replicate it again; return how many there are."""
    topics = [*stage.topics.inbound, *stage.topics.dead_letters, stage.topics.results, "__consumer_offsets"]
    admin = _admin(stage)
    before = await admin.leaders(topics)
    await admin.move_leaders(topics)

    async def all_moved() -> bool:
        now = await admin.leaders(topics)
        return all(now[place] not in (leader, -1) for place, leader in before.items())

    await stage.eventually(all_moved, "every partition has another leader")
    await stage.wait_until_recovered()
    await admin.replicate(topics, _NODES)
    await wait_until_in_sync(stage)

    return len(before)


async def brokers_moved(stage: Stage) -> str:
    """Restart one broker after the other at another address, until none is left at an address the worker was given."""
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        for node, proxy in zip(_brokers(stage), stage.servers.kafka_proxies, strict=True):
            await asyncio.sleep(stage.scale.pause_s)
            await asyncio.to_thread(node.shut_down)
            await proxy.stop()
            await proxy.listen()

            clients, behind_proxy = free_ports(2)
            node.move(NodePorts(clients, node.ports.controllers, behind_proxy, proxy.port))
            proxy.forward_to(node.behind_proxy)
            await bring_back(stage, node)
            await stage.wait_until_recovered()

    return "all three at other addresses than the worker's settings say"


def _brokers(stage: Stage) -> list[KafkaNode]:
    return stage.servers.kafka.nodes


def _in_turn(stage: Stage) -> list[KafkaNode]:
    """Return the brokers that get the fault one after the other: at the small scale only the first."""
    return _brokers(stage)[: stage.scale.rounds]


def _of_three(stage: Stage) -> str:
    return "one of three" if len(_in_turn(stage)) == 1 else "each of three"


def _admin(stage: Stage) -> ClusterAdmin:
    return ClusterAdmin(stage.bootstrap_servers)


async def bring_back(stage: Stage, node: KafkaNode) -> None:
    """Start a broker again; wait until it has caught up with the others."""
    await asyncio.to_thread(node.start)
    await wait_until_in_sync(stage)


async def wait_until_in_sync(stage: Stage) -> None:
    """Wait until all brokers have all records."""
    await asyncio.to_thread(stage.servers.kafka.wait_until_in_sync)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


CASES: Final = tuple(
    Case(name, injected, inject, brokers=len(_NODES), recorded=inject is each_broker_killed)
    for name, injected, inject in (
        ("broker-killed", "one of three brokers killed, each in turn", each_broker_killed),
        ("brokers-rolled", "three brokers restarted one after the other", brokers_rolled),
        ("broker-frozen", "one of three brokers frozen, each in turn", each_broker_frozen),
        ("broker-cut-off", "one of three brokers out of the worker's reach, each in turn", each_broker_cut_off),
        ("two-brokers-away", "two of three brokers killed", two_brokers_away),
        ("leaders-moved", "every partition moved to another leader", leaders_moved),
        ("brokers-moved", "three brokers moved to other addresses, one after the other", brokers_moved),
    )
)
