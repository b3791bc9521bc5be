"""An installation that may be lost: Kafka, Temporal, a worker, and what is upstream of them."""

import asyncio
import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from deploy.demo.upstream import Outcome, Upstream
from deploy.local.events import new_signin_id, request_event, submission_event
from deploy.local.places import free_ports
from deploy.local.servers.dns_server import DnsServer
from deploy.local.servers.kafka import LocalKafka
from deploy.local.servers.mail_server import MailServer
from deploy.local.servers.outside import outside_settings
from deploy.local.servers.siteverify import SiteverifyServer
from deploy.local.servers.temporal import LocalTemporal
from deploy.local.topics import Topics
from deploy.local.worker import LocalWorker

_WITHIN_S: Final = 90.0


class Outside:
    """What no disaster of ours touches: mail, siteverify and DNS."""

    def __init__(self) -> None:
        self.mail_server = MailServer()
        self.siteverify = SiteverifyServer()
        self.dns_server = DnsServer()

    async def start(self) -> None:
        """Start the servers."""
        for server in (self.mail_server, self.siteverify, self.dns_server):
            await server.start()

    async def stop(self) -> None:
        """Stop them."""
        for server in (self.mail_server, self.siteverify, self.dns_server):
            await server.stop()

    def settings(self) -> dict[str, str]:
        """Return the worker's settings for them."""
        return {
            **outside_settings(self.mail_server, self.siteverify, self.dns_server),
        }


class Region:
    """One Kafka, one Temporal, one worker. ``keys``: the worker's settings apart from addresses."""

    def __init__(self, outside: Outside, keys: Mapping[str, str]) -> None:
        (port,) = free_ports(1)
        self.outside = outside
        self.keys = keys
        self.topics = Topics.default()
        self.kafka = LocalKafka()
        self.temporal = LocalTemporal(durable=True)
        self.worker = LocalWorker({}, port)
        self.upstream: Upstream | None = None

    async def start(self) -> None:
        """Start everything, as installation.md says, and return once the worker is ready."""
        await asyncio.gather(asyncio.to_thread(self.kafka.start), asyncio.to_thread(self.temporal.start))
        self.worker.settings |= {
            **self.keys,
            **self.outside.settings(),
            "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "TEMPORAL_ADDRESS": self.temporal.address,
            "TEMPORAL_NAMESPACE": LocalTemporal.namespace,
        }

        await self.worker.create_topics()
        await self.worker.create_namespace()
        await self.worker.start()
        await self.listen()

    async def listen(self) -> None:
        """Read the results topic from its beginning."""
        if self.upstream is not None:
            await self.upstream.stop()
        self.upstream = Upstream(self.kafka.bootstrap_servers, self.topics)
        await self.upstream.start()

    async def stop(self) -> None:
        """End everything that still runs."""
        if self.upstream is not None:
            await self.upstream.stop()
        await asyncio.to_thread(self.worker.stop)
        await asyncio.to_thread(self.temporal.stop)
        await asyncio.to_thread(self.kafka.stop)

    async def lose_temporal(self) -> None:
        """Kill Temporal, delete its database, and start it empty at the same address."""
        folder = self.temporal.process.folder
        await asyncio.to_thread(self.temporal.process.kill)
        for file in folder.glob("temporal.db*"):
            file.unlink()
        await asyncio.to_thread(self.temporal.start_again)

    def pause_worker(self) -> None:
        """Freeze the worker: what is emitted now stays unread."""
        self.worker.process.signal(signal.SIGSTOP)

    def kill_worker(self) -> None:
        """Kill the worker."""
        self.worker.process.kill()

    async def emit(self, topic: str, event: Mapping[str, object]) -> None:
        """Emit an event."""
        assert self.upstream is not None
        await self.upstream.emit(topic, json.dumps(event).encode(), str(event["signin_id"]))

    async def results(self, signin_id: str, count: int) -> list[Outcome]:
        """Return the results of a sign-in once there are ``count``. Raises ``TimeoutError``."""
        assert self.upstream is not None
        return await self.upstream.wait_for_results(signin_id, count, _WITHIN_S)

    def results_so_far(self, signin_id: str) -> list[Outcome]:
        """Return the results of a sign-in that have been read."""
        assert self.upstream is not None
        return self.upstream.results_of(signin_id)


@dataclass
class Person:
    """Somebody who signs in. ``mails``: how many have been read."""

    name: str
    signin_id: str = field(default_factory=new_signin_id)
    mails: int = 0
    seen: int = 0
    account: str = ""

    @property
    def address(self) -> str:
        """The person's address."""
        return f"{self.name}@ok.example"

    async def asks(self, region: Region) -> None:
        """Request a code, and do not wait for it."""
        await region.emit(region.topics.requested, request_event(self.signin_id, self.address))

    async def starts_over(self, region: Region) -> str:
        """Begin a new sign-in; return its first result."""
        self.signin_id = new_signin_id()
        self.seen = 0
        await self.asks(region)
        return await self.hears(region)

    async def hears(self, region: Region) -> str:
        """Return the next result."""
        self.seen += 1
        outcome = (await region.results(self.signin_id, self.seen))[self.seen - 1]
        self.account = str(outcome.value.get("account", self.account))
        return str(outcome)

    async def reads_code(self, region: Region) -> str:
        """Return the code of the next mail."""
        self.mails += 1
        mail = await region.outside.mail_server.mail_to(self.address, count=self.mails, within_s=_WITHIN_S)
        return mail.code()

    async def types(self, region: Region, code: str) -> str:
        """Submit a code; return the answer."""
        await region.emit(region.topics.submitted, submission_event(self.signin_id, self.address, code))
        return await self.hears(region)

    async def signs_in(self, region: Region) -> str:
        """Do everything right; return the last result."""
        await self.asks(region)
        await self.hears(region)
        return await self.types(region, await self.reads_code(region))

    async def is_locked(self, region: Region) -> str:
        """Type wrong codes until the account is locked; return the answer to the next request."""
        for _ in range(2):
            await self.starts_over(region)
            code = await self.reads_code(region)
            for guess in range(1, 6):
                await self.types(region, code[:-1] + str((int(code[-1]) + guess) % 10))
            await self.hears(region)

        return await self.starts_over(region)
