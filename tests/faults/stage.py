"""The stage of one case: its own topics, workers and people, the ledger, and measurements of memory and time."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

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
from tests.faults.audit import Audit, audit
from tests.faults.crowd import Crowd
from tests.faults.evidence import collect, committed_offsets, end_offsets
from tests.faults.history import History
from tests.faults.kafka_admin import KafkaAdmin
from tests.faults.ledger import Ledger
from tests.faults.people import PATIENCE_S, Person
from tests.faults.servers import Servers
from tests.faults.upstream import Upstream
from utils.settings.loading import load_settings
from utils.temporal.client import data_converter

_T = TypeVar("_T")
_RECOVERY_TIMEOUT_S: Final = 240.0
_LOOK_EVERY_S: Final = 0.25
_SETTLED_WITHIN_S: Final = 20
_SETTINGS: Final = {
    "SIGNIN_OTP__LIFETIME_S": "600",
    "SIGNIN_OTP__SHORTEST_RESEND_S": "1",
    "SIGNIN_LIMITS__SEND_COOLDOWN_S": "1",
    "SIGNIN_MAX_EVENT_AGE_S": "3600",  # a long fault must not make requests stale
    "SIGNIN_TIMES__CHALLENGE_S": "300",
    "SIGNIN_TIMES__FIRST_ATTEMPT_WAIT_S": "600",
    "SIGNIN_LOG__LEVEL": "warning",
}


@dataclass(frozen=True)
class Scale:
    """The size of a run: the whole programme, or what fits into ``make test``."""

    kills: int = 100
    outage_s: float = 300
    pause_s: float = 10
    flood: int = 10_000
    every_s: float = 0.5
    rounds: int = 3


class Stage:
    """The environment of a case. ``recoveries_s``: how long it took after each fault until everything was done."""

    def __init__(
        self,
        servers: Servers,
        scale: Scale,
        settings: dict[str, str],
        topics: Topics,
        temporal: Client,
    ) -> None:
        self.servers = servers
        self.scale = scale
        self.settings = settings
        self.topics = topics
        self.temporal = temporal
        self.admin = KafkaAdmin(self.bootstrap_servers)

        self.ledger = Ledger()
        self.upstream = Upstream(self.bootstrap_servers, topics, self.ledger)
        self.crowd = Crowd(self.new_person)
        self.workers: list[LocalWorker] = []
        self.recoveries_s: list[float] = []
        self.peak_rss = 0
        self.patience_s = PATIENCE_S + scale.outage_s
        self.recovery_timeout_s = _RECOVERY_TIMEOUT_S
        self.history: History | None = None

        self._pseudonyms = Pseudonyms(load_settings(settings, lambda _: None).keys.account.get_secret_value())
        self._exits = AsyncExitStack()

    @property
    def bootstrap_servers(self) -> str:
        """The brokers' own addresses, which may change."""
        return self.servers.kafka.bootstrap_servers

    def new_person(self) -> Person:
        """Return a new person."""
        return Person(self.upstream, self.servers.mail_server, self.patience_s)

    def new_worker(self, **settings: str) -> LocalWorker:
        """Return another worker that is not yet started."""
        (port,) = free_ports(1)
        worker = LocalWorker({**self.settings, **settings}, port)
        self._exits.push_async_callback(asyncio.to_thread, worker.stop)
        self.workers.append(worker)
        return worker

    async def start_worker(self, **settings: str) -> LocalWorker:
        """Start another worker; return it once it is ready."""
        worker = self.new_worker(**settings)
        await worker.start()
        return worker

    async def kill(self, worker: LocalWorker) -> None:
        """Send SIGKILL."""
        await asyncio.to_thread(worker.process.kill)

    async def terminate(self, worker: LocalWorker) -> str:
        """Send SIGTERM; return the exit code and how long the worker took to end."""
        begun = time.monotonic()
        code = await asyncio.to_thread(worker.process.end)
        return f"exit {code} after {time.monotonic() - begun:.1f} s"

    async def wait_until_recovered(self, since: float | None = None) -> float:
        """Wait until all records produced by now are done; return how long it took since ``since`` (monotonic)."""
        begun = time.monotonic() if since is None else since
        ends = await end_offsets(self.bootstrap_servers, self.topics)

        async def done() -> bool:
            committed = await self.committed_offsets()
            return all(committed.get(partition, 0) >= end for partition, end in ends.items())

        await eventually(done, "all records are done", within_s=self.recovery_timeout_s)
        took_s = time.monotonic() - begun
        self.recoveries_s.append(took_s)

        return took_s

    async def wait_until_exactly_committed(self) -> None:
        """Wait until the committed offsets equal the end offsets, after offsets beyond the end were committed."""
        ends = await end_offsets(self.bootstrap_servers, self.topics)

        async def done() -> bool:
            committed = await self.committed_offsets()
            return all(committed.get(partition) == end for partition, end in ends.items())

        await eventually(done, "the committed offsets equal the end offsets", within_s=self.recovery_timeout_s)

    async def committed_offsets(self) -> dict[tuple[str, int], int]:
        """Return the group's committed offsets, or nothing while Kafka does not answer."""
        try:
            return dict(await committed_offsets(self.bootstrap_servers, self.topics))
        except KafkaError:
            return {}

    async def settle(self) -> Audit:
        """Wait until everybody has finished and all records are done; return the audit."""
        await self.crowd.wait_until_done()
        with contextlib.suppress(TimeoutError):
            await self.wait_until_recovered()
            self.recoveries_s.pop()

        result = Audit()

        async def nothing_is_broken() -> bool:
            nonlocal result
            result = await self._audit()
            return not result.broken

        with contextlib.suppress(TimeoutError):  # Temporal's visibility lags a little, so a first audit may be early
            await eventually(nothing_is_broken, "all promises are kept", within_s=_SETTLED_WITHIN_S)

        return result

    async def eventually(self, condition: Callable[[], Awaitable[bool]], what: str, within_s: float = 60) -> None:
        """Wait for a condition. Raises ``TimeoutError``."""
        await eventually(condition, what, within_s=within_s)

    async def enter(self, context: AbstractAsyncContextManager[_T]) -> _T:
        """Enter a context, and leave it after the audit."""
        return await self._exits.enter_async_context(context)

    async def workflow_exists(self, workflow_id: str) -> bool:
        """Tell whether Temporal knows a workflow."""
        try:
            await self.temporal.get_workflow_handle(workflow_id).describe()
        except RPCError:
            return False
        return True

    async def emit_garbage(self, count: int) -> None:
        """Emit ``count`` poison records to the requests topic at once."""
        emitting = (self.upstream.poison(self.topics.requested, b"garbage") for _ in range(count))
        await asyncio.gather(*emitting)

    def mailbox_pseudonym(self, address: str) -> str:
        """Return the pseudonym of an address's mailbox."""
        parsed = parse_address(address)
        assert parsed is not None
        return self._pseudonyms.mailbox(parsed)

    async def read_with_keys(self, payload_keys: str) -> None:
        """Use these keys from now on to read what Temporal stores."""
        self.settings["SIGNIN_KEYS__PAYLOAD"] = payload_keys
        self.temporal = await client(self.servers, self.settings)

    async def open(self) -> None:
        """Create the topics and connect."""
        await self.new_worker().create_topics()
        self.workers.clear()
        await self.upstream.start()
        self._exits.push_async_callback(self.upstream.stop)
        watching = asyncio.create_task(self._watch_memory())
        self._exits.callback(watching.cancel)

    async def close(self) -> None:
        """Cancel everybody and kill the workers."""
        self.crowd.cancel()
        for worker in self.workers:
            if worker.process.running:
                with contextlib.suppress(StackError):
                    worker.process.signal(signal.SIGCONT)
                    worker.process.kill()
        await self._exits.aclose()

    async def _audit(self) -> Audit:
        servers = self.servers
        evidence = await collect(self.bootstrap_servers, self.temporal, self.topics, servers.mail_server)
        own_addresses = {one.address for one in self.ledger.expectations.values()}
        evidence.mails = [mail for mail in evidence.mails if mail.address in own_addresses]
        return audit(self.ledger, evidence)

    async def _watch_memory(self) -> None:
        while True:
            for worker in self.workers:
                with contextlib.suppress(StackError, psutil.Error):
                    if worker.process.running:
                        self.peak_rss = max(self.peak_rss, worker.process.command.memory_info().rss)
            await asyncio.sleep(_LOOK_EVERY_S)


async def client(servers: Servers, settings: dict[str, str]) -> Client:
    """Return a client that can decrypt what a worker with these settings encrypts."""
    keys = load_settings(settings, lambda _: None).keys.payload.get_secret_value()
    return await Client.connect(
        servers.temporal.address,
        namespace=settings["TEMPORAL_NAMESPACE"],
        data_converter=data_converter(keys),
    )


@asynccontextmanager
async def open_stage(servers: Servers, scale: Scale, settings: dict[str, str]) -> AsyncIterator[Stage]:
    """Set up a stage with its own topics and keys, and tear it down."""
    topics = Topics.fresh("faults")
    own = development_settings({**servers.worker_settings(), **topics.settings(), **_SETTINGS, **settings})
    stage = Stage(servers, scale, own, topics, await client(servers, own))

    try:
        await stage.open()
        yield stage
    finally:
        await servers.restore()  # first, because clients cannot stop while their broker is away
        await stage.close()
