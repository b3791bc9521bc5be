"""The stage of one case: topics of its own, workers, people, the ledger, and eyes on memory and time."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import psutil  # type: ignore[import-untyped]  # has no types
from aiokafka.errors import KafkaError
from temporalio.client import Client
from temporalio.service import RPCError

from activities.addresses import parse_address
from activities.pseudonyms import Pseudonyms
from deploy.local.places import StackError, free_ports
from deploy.local.topics import Topics
from deploy.local.waiting import eventually
from deploy.local.worker import LocalWorker, development_settings
from tests.faults.crowd import Crowd
from tests.faults.evidence import collect, committed, ends
from tests.faults.kafka_admin import KafkaAdmin
from tests.faults.ledger import Account, Ledger, account
from tests.faults.people import PATIENCE_S, Person
from tests.faults.servers import Servers
from tests.faults.wire import Wire
from utils.settings.loading import load_settings
from utils.temporal.client import data_converter

_QUIET_WITHIN_S: Final = 240.0
_LOOK_EVERY_S: Final = 0.25
_SETTLED_WITHIN_S: Final = 20
_SETTINGS: Final = {
    "SIGNIN_OTP__LIFETIME_S": "600",
    "SIGNIN_OTP__SHORTEST_RESEND_S": "1",
    "SIGNIN_LIMITS__SEND_COOLDOWN_S": "1",
    "SIGNIN_MAX_EVENT_AGE_S": "3600",  # nobody is to be turned away because a fault took long
    "SIGNIN_TIMES__CHALLENGE_S": "300",
    "SIGNIN_TIMES__FIRST_ATTEMPT_WAIT_S": "600",
    "SIGNIN_LOG__LEVEL": "warning",
}


@dataclass(frozen=True)
class Scale:
    """How much of everything: the whole programme, or what fits into ``make test``."""

    kills: int = 100
    outage_s: float = 300
    pause_s: float = 10
    flood: int = 10_000
    every_s: float = 0.5
    rounds: int = 3


class Stage:
    """What a case does things to. ``recoveries_s`` are the times it took until all was done after a fault had ended."""

    def __init__(
        self, servers: Servers, scale: Scale, settings: dict[str, str], topics: Topics, temporal: Client
    ) -> None:
        self.servers = servers
        self.scale = scale
        self.settings = settings
        self.topics = topics
        self.temporal = temporal
        self._pseudonyms = Pseudonyms(load_settings(settings, lambda _: None).keys.account.get_secret_value())
        self.admin = KafkaAdmin(servers.kafka.bootstrap_servers)
        self.ledger = Ledger()
        self.wire = Wire(servers.kafka.bootstrap_servers, topics, self.ledger)
        self.crowd = Crowd(self.newcomer)
        self.workers: list[LocalWorker] = []
        self.recoveries_s: list[float] = []
        self.peak_rss = 0
        self.patience_s = PATIENCE_S + scale.outage_s
        self.quiet_within_s = _QUIET_WITHIN_S
        self._exits = AsyncExitStack()

    def newcomer(self) -> Person:
        """Return a new person."""
        return Person(self.wire, self.servers.mail_server, self.patience_s)

    def new_worker(self, **settings: str) -> LocalWorker:
        """Return one more worker, not started."""
        (port,) = free_ports(1)
        worker = LocalWorker({**self.settings, **settings}, port)
        self._exits.push_async_callback(asyncio.to_thread, worker.stop)
        self.workers.append(worker)
        return worker

    async def start_worker(self, **settings: str) -> LocalWorker:
        """Start one more worker; return it once it is ready."""
        worker = self.new_worker(**settings)
        await worker.start()
        return worker

    async def kill(self, worker: LocalWorker) -> None:
        """SIGKILL."""
        await asyncio.to_thread(worker.process.kill)

    async def terminate(self, worker: LocalWorker) -> str:
        """Send SIGTERM; return how it ended, and how long that took."""
        begun = time.monotonic()
        code = await asyncio.to_thread(worker.process.end)
        return f"exit {code} after {time.monotonic() - begun:.1f} s"

    async def recovered(self, since: float | None = None) -> float:
        """Wait until all that was produced by now is done; return how long it took, from ``since`` (monotonic)."""
        begun = time.monotonic() if since is None else since
        wanted = await ends(self.servers.kafka.bootstrap_servers, self.topics)

        async def done() -> bool:
            known = await self.committed()
            return all(known.get(partition, 0) >= end for partition, end in wanted.items())

        await eventually(done, "all that was produced is done", within_s=self.quiet_within_s)
        took_s = time.monotonic() - begun
        self.recoveries_s.append(took_s)

        return took_s

    async def exactly_committed(self) -> None:
        """Wait until what is committed is the ends, after a time when it was more than that."""
        wanted = await ends(self.servers.kafka.bootstrap_servers, self.topics)

        async def done() -> bool:
            known = await self.committed()
            return all(known.get(partition) == end for partition, end in wanted.items())

        await eventually(done, "what is committed is the ends", within_s=self.quiet_within_s)

    async def committed(self) -> dict[tuple[str, int], int]:
        """Return the group's offsets; none while Kafka does not tell."""
        try:
            return dict(await committed(self.servers.kafka.bootstrap_servers, self.topics))
        except KafkaError:
            return {}

    async def settle(self) -> Account:
        """Wait until everybody is through and all is done, and account for it."""
        await self.crowd.gone()
        with contextlib.suppress(TimeoutError):
            await self.recovered()
            self.recoveries_s.pop()

        found = Account()

        async def accounted() -> bool:
            nonlocal found
            found = await self._account()
            return not found.broken

        with contextlib.suppress(TimeoutError):  # visibility lags a little; what is still broken then is broken
            await eventually(accounted, "all is accounted for", within_s=_SETTLED_WITHIN_S)

        return found

    async def eventually(self, ask: Callable[[], Awaitable[bool]], what: str, within_s: float = 60) -> None:
        """Wait for a condition. Raises ``TimeoutError``."""
        await eventually(ask, what, within_s=within_s)

    async def workflow_exists(self, workflow_id: str) -> bool:
        """Tell whether Temporal knows it."""
        try:
            await self.temporal.get_workflow_handle(workflow_id).describe()
        except RPCError:
            return False
        return True

    def mailbox_of(self, address: str) -> str:
        """Return the pseudonym of an address's mailbox."""
        parsed = parse_address(address)
        assert parsed is not None
        return self._pseudonyms.mailbox(parsed)

    async def hold_keys(self, payload_keys: str) -> None:
        """Read what Temporal stores with these keys from now on."""
        self.settings["SIGNIN_KEYS__PAYLOAD"] = payload_keys
        self.temporal = await client(self.servers, self.settings)

    async def open(self) -> None:
        """Create the topics and connect."""
        await self.new_worker().create_topics()
        self.workers.clear()
        await self.wire.start()
        self._exits.push_async_callback(self.wire.stop)
        watching = asyncio.create_task(self._watch_memory())
        self._exits.callback(watching.cancel)

    async def close(self) -> None:
        """Send everybody away, and end the workers."""
        self.crowd.send_away()
        for worker in self.workers:
            if worker.process.running:
                with contextlib.suppress(StackError):
                    worker.process.signal(signal.SIGCONT)
                    worker.process.kill()
        await self._exits.aclose()

    async def _account(self) -> Account:
        servers = self.servers
        evidence = await collect(servers.kafka.bootstrap_servers, self.temporal, self.topics, servers.mail_server)
        mine = {one.address for one in self.ledger.expectations.values()}
        evidence.mails = [mail for mail in evidence.mails if mail.address in mine]
        return account(self.ledger, evidence)

    async def _watch_memory(self) -> None:
        while True:
            for worker in self.workers:
                with contextlib.suppress(StackError, psutil.Error):
                    if worker.process.running:
                        self.peak_rss = max(self.peak_rss, worker.process.command.memory_info().rss)
            await asyncio.sleep(_LOOK_EVERY_S)


async def client(servers: Servers, settings: dict[str, str]) -> Client:
    """Return a client that reads what the worker's settings encrypt."""
    keys = load_settings(settings, lambda _: None).keys.payload.get_secret_value()
    return await Client.connect(
        servers.temporal.address, namespace=settings["TEMPORAL_NAMESPACE"], data_converter=data_converter(keys)
    )


@asynccontextmanager
async def stage(servers: Servers, scale: Scale, settings: dict[str, str]) -> AsyncIterator[Stage]:
    """Set up a stage with topics and keys of its own, and clear it away."""
    topics = Topics.fresh("faults")
    own = development_settings({**servers.addresses(), **topics.settings(), **_SETTINGS, **settings})
    scene = Stage(servers, scale, own, topics, await client(servers, own))

    try:
        await scene.open()
        yield scene
    finally:
        await servers.heal()  # first: clients of a broker that is away do not even stop
        await scene.close()
