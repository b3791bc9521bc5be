"""One long run on three brokers, with one fault of each kind, whose history a second program judges."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from deploy.local.servers.kafka_node import KafkaNode
from deploy.local.worker import LocalWorker
from tests.faults.case import Case
from tests.faults.cases.cluster import bring_back, move_every_leader, wait_until_in_sync
from tests.faults.servers import freeze, thaw
from tests.faults.stage import Stage

_SEED: Final = 20
_AWAY_S: Final = (3.0, 8.0)
_FROZEN_S: Final = 15.0  # longer than a worker's session
_WORKERS: Final = 2
_SHORT: Final = 3  # as many faults at the small scale

Fault = Callable[[Stage, random.Random], Awaitable[None]]


async def one_of_each(stage: Stage) -> str:
    """Inject the faults one after the other, in an order drawn from a seed, each of it at something drawn, too."""
    chance = random.Random(_SEED)
    faults = list(_FAULTS)
    chance.shuffle(faults)
    chosen = faults if stage.scale.rounds > 1 else faults[:_SHORT]

    await asyncio.gather(*(stage.start_worker() for _ in range(_WORKERS)))
    async with stage.crowd.arriving(stage.scale.every_s):
        for fault in chosen:
            await asyncio.sleep(chance.uniform(0.2, 1.0) * stage.scale.pause_s)
            if stage.history is not None:
                stage.history.fault(fault.__name__)
            await fault(stage, chance)
            await stage.wait_until_recovered()

    return ", ".join(fault.__name__.replace("_", " ") for fault in chosen)


async def broker_killed(stage: Stage, chance: random.Random) -> None:
    """Kill a broker, and start it again."""
    node = _broker(stage, chance)
    await asyncio.to_thread(node.kill)
    await asyncio.sleep(chance.uniform(*_AWAY_S))
    await bring_back(stage, node)


async def broker_frozen(stage: Stage, chance: random.Random) -> None:
    """Freeze a broker for a while."""
    node = _broker(stage, chance)
    await asyncio.to_thread(node.freeze)
    await asyncio.sleep(_FROZEN_S)
    await asyncio.to_thread(node.thaw)
    await wait_until_in_sync(stage)


async def broker_cut_off(stage: Stage, chance: random.Random) -> None:
    """Let the workers not reach a broker for a while."""
    proxy = chance.choice(stage.servers.kafka_proxies)
    proxy.hold()
    await asyncio.sleep(chance.uniform(*_AWAY_S))
    await proxy.cut()
    proxy.open()


async def brokers_restarted(stage: Stage, chance: random.Random) -> None:
    """Restart one broker after the other."""
    nodes = list(stage.servers.kafka.nodes)
    chance.shuffle(nodes)
    for node in nodes:
        await asyncio.to_thread(node.shut_down)
        await bring_back(stage, node)


async def leaders_moved(stage: Stage, chance: random.Random) -> None:
    """Give every partition another leader."""
    await move_every_leader(stage)


async def worker_killed(stage: Stage, chance: random.Random) -> None:
    """Kill a worker, and start it again."""
    worker = _worker(stage, chance)
    await stage.kill(worker)
    await asyncio.sleep(chance.uniform(*_AWAY_S))
    await worker.start()


async def worker_frozen(stage: Stage, chance: random.Random) -> None:
    """Freeze a worker for longer than its session, so that it wakes up as a zombie."""
    worker = _worker(stage, chance)
    freeze(worker.process)
    await asyncio.sleep(_FROZEN_S)
    thaw(worker.process)


async def workers_restarted(stage: Stage, chance: random.Random) -> None:
    """Restart one worker after the other, as a roll-out does."""
    for worker in stage.workers:
        ended = await stage.terminate(worker)
        assert ended.startswith("exit 0 "), worker.process.last_output()
        await worker.start()


async def temporal_killed(stage: Stage, chance: random.Random) -> None:
    """Kill Temporal, and start it again with its state."""
    await stage.servers.kill_temporal()
    await asyncio.sleep(chance.uniform(*_AWAY_S))
    await stage.servers.restart_temporal()


async def temporal_frozen(stage: Stage, chance: random.Random) -> None:
    """Freeze Temporal for a while."""
    freeze(*stage.servers.temporal.processes)
    await asyncio.sleep(_FROZEN_S)
    thaw(*stage.servers.temporal.processes)


def _broker(stage: Stage, chance: random.Random) -> KafkaNode:
    return chance.choice(stage.servers.kafka.nodes)


def _worker(stage: Stage, chance: random.Random) -> LocalWorker:
    return chance.choice(stage.workers)


_FAULTS: Final[Sequence[Fault]] = (
    broker_killed,
    broker_frozen,
    broker_cut_off,
    brokers_restarted,
    leaders_moved,
    worker_killed,
    worker_frozen,
    workers_restarted,
    temporal_killed,
    temporal_frozen,
)
CASES: Final = (
    Case(
        "long-run",
        "ten different faults in one run, whose history a second program judges",
        one_of_each,
        brokers=3,
        recorded=True,
    ),
)
