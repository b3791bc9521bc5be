"""The servers of a run, and the three ways to sign people in on them, each with its running processes."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import psutil  # type: ignore[import-untyped]  # has no types
from temporalio.client import Client

from activities.addresses import parse_address
from activities.pseudonyms import Pseudonyms
from deploy.local.servers.kafka import LocalKafka
from deploy.local.places import PROJECT, StackError, cache_folder, free_ports
from deploy.local.processes import Child
from deploy.local.servers.temporal import LocalTemporal
from deploy.local.servers.temporal_cluster import ClusterTemporal
from deploy.local.topics import Topics
from deploy.local.worker import LocalWorker, development_settings
from tests.benchmarks.performance.meters import Alone, Cost, Family, Metered, Meters, history
from tests.benchmarks.performance.pacing import LoadResult
from tests.benchmarks.performance.peers import Peer, run_peer
from utils.settings.loading import load_settings

OURS: Final = "ours"
FLOOR: Final = "floor"
FLOOR_PLAIN: Final = "floor without a sandbox"
USUAL: Final = "usual"
SERVER: Final = "server"
DATABASE: Final = "database"
WORKER: Final = "worker"
BROKER: Final = "broker"
WORLD: Final = "world"
CALLER: Final = "caller"
_SETTLING_S: Final = 1.0
_LOOK_S: Final = 1.0
_READY_WITHIN_S: Final = 60


@dataclass
class Turn:
    """One load that one way has handled."""

    result: LoadResult
    cost: Cost
    signins: int

    @property
    def per_s(self) -> float:
        """Complete sign-ins per second."""
        return self.result.per_s


class Way:
    """One way to sign people in. ``load`` makes the load; ``workflow_ids`` returns those of one sign-in."""

    def __init__(
        self,
        name: str,
        load: Peer,
        meters: Meters,
        client: Client,
        workflow_ids: Callable[[str], list[str]],
    ) -> None:
        self.name = name
        self._load = load
        self._meters = meters
        self._client = client
        self._workflow_ids = workflow_ids

    async def crowd(self, signins: int, seats: int) -> Turn:
        """Sign in ``signins`` people as fast as possible, with at most ``seats`` being served at once."""
        return await self._turn("crowd", signins, seats=seats)

    async def pace(self, signins: int, per_s: float) -> Turn:
        """Sign in ``signins`` people at a fixed rate."""
        return await self._turn("pace", signins, per_s=per_s)

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds that this way's processes have used so far."""
        return self._meters.cpu_s()

    async def _turn(self, what: str, signins: int, **load: Any) -> Turn:
        where = {} if self.name in (FLOOR, FLOOR_PLAIN) else {"way": self.name}
        before = await self._meters.read()
        result = LoadResult(**await self._load.ask(what, signins=signins, **where, **load))
        await asyncio.sleep(_SETTLING_S)  # for the work that the last sign-ins leave behind
        cost = self._meters.cost(before, await self._meters.read_after(), signins)
        cost.events, cost.history_bytes, cost.workflow_tasks = await history(
            self._client, self._workflow_ids(result.last)
        )

        return Turn(result, cost, signins)


class Arena:
    """Real Kafka and Temporal, and the world around the workers in its own process."""

    def __init__(
        self, kafka: LocalKafka, temporal: LocalTemporal | ClusterTemporal, world: Peer, client: Client
    ) -> None:
        self.kafka = kafka
        self.temporal = temporal
        self.world = world
        self.client = client
        self.small_servers: Mapping[str, str] = {}
        self._exits = AsyncExitStack()

    @property
    def on_cluster(self) -> bool:
        """Whether Temporal runs as in production."""
        return isinstance(self.temporal, ClusterTemporal)

    async def ours(
        self,
        name: str = OURS,
        settings: Mapping[str, str] = MappingProxyType({}),
        kind: type[LocalWorker] = LocalWorker,
    ) -> tuple[Way, LocalWorker]:
        """Start the real command with its own topics."""
        worker, topics = await self._worker(name, settings, kind)
        await worker.start()
        await self._connect(name, topics)
        return self.way(name, [worker]), worker

    async def beside(self, worker: LocalWorker) -> LocalWorker:
        """Start another worker with the same settings."""
        (port,) = free_ports(1)
        another = LocalWorker(worker.settings, port, "another")
        self._exits.push_async_callback(asyncio.to_thread, another.stop)
        await another.start()
        return another

    def way(self, name: str, workers: Sequence[LocalWorker]) -> Way:
        """Return the way that these workers form together."""
        keys = load_settings(workers[0].settings, lambda _: None).keys
        names = Pseudonyms(keys.account.get_secret_value())

        def workflow_ids(last: str) -> list[str]:
            address = parse_address(f"{last}@ok.example")
            assert address is not None
            return [f"signin/{last}/1", f"mailbox/{names.mailbox(address)}"]

        meters = self._meters([worker.process.command for worker in workers])

        return Way(name, self.world, meters, self.client, workflow_ids)

    async def ask_world(self, command: str, worker: Child, **arguments: Any) -> Any:
        """Send the world a command. Raises ``StackError`` if a server or the worker ends meanwhile."""
        asking = asyncio.create_task(self.world.ask(command, **arguments))
        try:
            while not (await asyncio.wait([asking], timeout=_LOOK_S))[0]:
                for child in (self.kafka.process, *self.temporal.processes, worker):
                    if not child.running:
                        raise StackError(f"{child.name} ended meanwhile. Its last output:\n{child.last_output()}")
        finally:
            asking.cancel()

        return await asking

    async def usual(self) -> Way:
        """Start the usual way."""
        worker, topics = await self._worker(USUAL, {})
        child = Child(USUAL)
        self._exits.push_async_callback(asyncio.to_thread, child.stop)
        child.start(module_command("usual"), environment(worker.settings))
        await asyncio.to_thread(child.wait_until, lambda: "ready" in child.last_output(), within_s=_READY_WITHIN_S)
        await self._connect(USUAL, topics)

        meters = self._meters([child.command])
        return Way(USUAL, self.world, meters, self.client, lambda last: [f"usual/{last}"])

    async def floor(self, *, sandboxed: bool = True) -> tuple[Way, Peer]:
        """Start the floor."""
        name, runner = (FLOOR, "sandboxed") if sandboxed else (FLOOR_PLAIN, "plain")
        caller = await self._exits.enter_async_context(run_peer("floor"))
        pid = await caller.ask("start", address=self.temporal.address, task_queue=name, runner=runner)
        meters = self._meters([psutil.Process(pid)], {CALLER: [caller.process]})

        def workflow_ids(last: str) -> list[str]:
            return [f"floor-request/{last}", f"floor-mailbox/{last}"]

        return Way(name, caller, meters, self.client, workflow_ids), caller

    @asynccontextmanager
    async def bridge(self) -> AsyncIterator[Peer]:
        """Run the consumer alone, with its own topics."""
        worker, _ = await self._worker("bridge", {})
        async with run_peer("bridging", **worker.settings) as bridge:
            yield bridge

    async def close(self) -> None:
        """Stop all ways."""
        await self._exits.aclose()

    async def _worker(
        self, name: str, settings: Mapping[str, str], kind: type[LocalWorker] = LocalWorker
    ) -> tuple[LocalWorker, Topics]:
        topics = Topics.fresh(name)
        (port,) = free_ports(1)
        addresses = {
            "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "TEMPORAL_ADDRESS": self.temporal.address,
            "TEMPORAL_NAMESPACE": LocalTemporal.namespace,
        }
        own = development_settings({**addresses, **self.small_servers, **topics.settings(), **settings})
        worker = kind(own, port, name)
        self._exits.push_async_callback(asyncio.to_thread, worker.stop)
        await worker.create_topics()

        return worker, topics

    async def _connect(self, name: str, topics: Topics) -> None:
        names = {
            "requested": topics.requested,
            "submitted": topics.submitted,
            "results": topics.results,
        }
        await self.world.ask("connect", way=name, bootstrap_servers=self.kafka.bootstrap_servers, **names)

    def _meters(
        self,
        workers: Sequence[psutil.Process],
        more: Mapping[str, Sequence[psutil.Process]] | None = None,
    ) -> Meters:
        temporal = self.temporal
        database = temporal.database if isinstance(temporal, ClusterTemporal) else None
        processes = {
            SERVER: [child.command for child in temporal.processes],
            WORKER: workers,
            BROKER: [self.kafka.process.command],
            WORLD: [self.world.process],
            **(more or {}),
        }
        metered: dict[str, list[Metered]] = {name: [Alone(one) for one in each] for name, each in processes.items()}
        if database:
            metered[DATABASE] = [Family(database.process.command)]

        return Meters(metered, temporal.metrics_url, database)


def module_command(name: str) -> list[str]:
    """Return the command that runs a module of this package."""
    return [sys.executable, "-m", f"{__package__}.{name}"]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process with these settings of the worker."""
    own = {"PYTHONPATH": str(PROJECT), "PYTHONPYCACHEPREFIX": str(cache_folder() / "pycache")}
    return {**os.environ, **settings, **own}


@asynccontextmanager
async def open_arena(
    *, durable: bool = False, settings: Mapping[str, str] = MappingProxyType({}), on_cluster: bool = False
) -> AsyncIterator[Arena]:
    """Start the servers; stop everything in reverse order. ``on_cluster``: with Temporal as it runs in production.

    The dev server keeps its state in memory. That takes two memory mappings per person who waits (3,053 for 1,500
    people), and Linux allows a process 65,530 of them (``vm.max_map_count``): beyond some 33,000 people the server
    dies. For more, ``durable`` keeps the state in a file. ``settings`` are Temporal's dynamic settings.
    """
    async with AsyncExitStack() as exits:
        kafka = LocalKafka()
        temporal = (
            ClusterTemporal(settings=settings) if on_cluster else LocalTemporal(durable=durable, settings=settings)
        )
        servers: list[LocalKafka | LocalTemporal | ClusterTemporal] = [kafka, temporal]
        for server in servers:
            exits.push_async_callback(asyncio.to_thread, server.stop)

        await asyncio.gather(asyncio.to_thread(kafka.start), asyncio.to_thread(temporal.start))
        world = await exits.enter_async_context(run_peer("world"))
        client = await Client.connect(temporal.address, namespace=LocalTemporal.namespace)

        arena = Arena(kafka, temporal, world, client)
        exits.push_async_callback(arena.close)
        arena.small_servers = await world.ask("start")
        yield arena
