"""Everything that the demo starts: the servers around the worker, and the worker itself as the real command."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from deploy.local.places import free_ports
from deploy.local.servers.backends import Kafka, Temporal, choose_kafka, choose_temporal
from deploy.local.servers.dns_server import DnsServer
from deploy.local.servers.kafka_jars import has_jars
from deploy.local.servers.mail_server import MailServer
from deploy.local.servers.outside import outside_settings
from deploy.local.servers.siteverify import SiteverifyServer
from deploy.local.servers.temporal import LocalTemporal
from deploy.local.topics import Topics
from deploy.local.worker import LocalWorker, development_settings

Say = Callable[[str], None]

LIFETIME_S: Final = 12  # short, so that nobody has to watch the person who waits too long for long
_SETTINGS: Final = {
    "SIGNIN_OTP__SHORTEST_RESEND_S": "2",
    "SIGNIN_LIMITS__SEND_COOLDOWN_S": "2",
}


@dataclass
class Stack:
    """The servers and the worker, running."""

    kafka: Kafka
    temporal: Temporal
    topics: Topics
    mail_server: MailServer
    siteverify: SiteverifyServer
    dns_server: DnsServer
    worker: LocalWorker

    async def restart_worker(self, say: Say, lifetime_s: int) -> None:
        """Start the worker again after it has ended, with another lifetime of codes."""
        self.worker.settings["SIGNIN_OTP__LIFETIME_S"] = str(lifetime_s)
        await _start_worker(self.worker, say)


@asynccontextmanager
async def running_stack(say: Say, *, ui: bool, lifetime_s: int = LIFETIME_S) -> AsyncIterator[Stack]:
    """Start everything in the order of dependency, and stop it in reverse. Raises ``StackError``."""
    async with AsyncExitStack() as exits:
        kafka, temporal = await _start_kafka_and_temporal(exits, say, ui=ui)
        is_shared = not isinstance(temporal, LocalTemporal) or "SIGNIN_TEST_KAFKA" in os.environ
        topics = Topics.fresh("demo") if is_shared else Topics.default()

        mail_server = MailServer()
        siteverify = SiteverifyServer()
        dns_server = DnsServer()
        for server in (mail_server, siteverify, dns_server):
            await server.start()
            exits.push_async_callback(server.stop)

        addresses = {
            "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            **outside_settings(mail_server, siteverify, dns_server),
            "TEMPORAL_ADDRESS": temporal.address,
            "TEMPORAL_NAMESPACE": LocalTemporal.namespace,
        }
        lifetime = {"SIGNIN_OTP__LIFETIME_S": str(lifetime_s)}
        worker = _worker({**addresses, **topics.settings(), **_SETTINGS, **lifetime})
        exits.push_async_callback(asyncio.to_thread, worker.stop)

        await _prepare(worker, say, with_namespace=isinstance(temporal, LocalTemporal))
        await _start_worker(worker, say)

        yield Stack(kafka, temporal, topics, mail_server, siteverify, dns_server, worker)


async def _start_kafka_and_temporal(exits: AsyncExitStack, say: Say, *, ui: bool) -> tuple[Kafka, Temporal]:
    kafka = choose_kafka()
    temporal = choose_temporal(ui=ui)
    exits.push_async_callback(asyncio.to_thread, kafka.stop)
    exits.push_async_callback(asyncio.to_thread, temporal.stop)

    download = "" if has_jars() else " (the first time, this downloads Kafka's jars, 45 MB)"
    say(f"starting Kafka{download} and Temporal …")
    results = await asyncio.gather(
        asyncio.to_thread(kafka.start), asyncio.to_thread(temporal.start), return_exceptions=True
    )
    for error in results:
        if error is not None:
            raise error

    say(f"Kafka at {kafka.bootstrap_servers}, Temporal at {temporal.address}")
    return kafka, temporal


def _worker(settings: dict[str, str]) -> LocalWorker:
    (http_port,) = free_ports(1)
    return LocalWorker(development_settings(settings), http_port)


async def _prepare(worker: LocalWorker, say: Say, *, with_namespace: bool) -> None:
    """Create the topics, and the namespace unless it is shared: one that others use is left as it is."""
    say("signin-worker topics create …")
    await worker.create_topics()

    if with_namespace:
        say("signin-worker temporal create …")
        await worker.create_namespace()


async def _start_worker(worker: LocalWorker, say: Say) -> None:
    say("signin-worker run …")
    await worker.start()
    say(f"the worker is ready: {worker.metrics_url}")
