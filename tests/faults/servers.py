"""The servers of a run: real Kafka and Temporal, each behind a proxy and easy to break, and the small test servers."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from deploy.local.places import LOOPBACK
from deploy.local.servers.dns_server import DnsServer
from deploy.local.servers.kafka import AUTHORISING, LocalKafka
from deploy.local.servers.mail_server import MailServer
from deploy.local.processes import Child
from deploy.local.servers.siteverify import SiteverifyServer
from deploy.local.servers.temporal import LocalTemporal
from tests.faults.proxy import Proxy, http2_frame, kafka_frame, drop_nothing


@dataclass
class Servers:
    """The running servers. Workers reach Kafka and Temporal only through the proxies; the tests connect directly."""

    kafka: LocalKafka
    temporal: LocalTemporal
    kafka_proxies: Sequence[Proxy]
    temporal_proxy: Proxy
    mail_server: MailServer
    siteverify: SiteverifyServer
    dns_server: DnsServer

    @property
    def kafka_proxy(self) -> Proxy:
        """The proxy of the only broker, or of the first."""
        return self.kafka_proxies[0]

    def worker_settings(self) -> dict[str, str]:
        """Return the settings with which a worker reaches these servers."""
        return {
            "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": ",".join(f"{LOOPBACK}:{proxy.port}" for proxy in self.kafka_proxies),
            "SIGNIN_SMTP__HOST": self.mail_server.host,
            "SIGNIN_SMTP__PORT": str(self.mail_server.port),
            "SIGNIN_TURNSTILE__URL": self.siteverify.url,
            "SIGNIN_DNS__NAMESERVERS": self.dns_server.host,
            "SIGNIN_DNS__PORT": str(self.dns_server.port),
            "TEMPORAL_ADDRESS": f"127.0.0.1:{self.temporal_proxy.port}",
            "TEMPORAL_NAMESPACE": LocalTemporal.namespace,
        }

    async def kill_temporal(self) -> None:
        """Kill Temporal. Its state survives in a file."""
        await asyncio.to_thread(self.temporal.process.kill)

    async def restart_temporal(self, settings: Mapping[str, str] | None = None) -> None:
        """Start Temporal again, optionally with other dynamic settings."""
        await asyncio.to_thread(self.temporal.start_again, settings)

    async def kill_kafka(self) -> None:
        """Kill the only broker, or the first."""
        await asyncio.to_thread(self.kafka.process.kill)

    async def restart_kafka(self) -> None:
        """Start the brokers again that were killed."""
        await asyncio.to_thread(self.kafka.start_again)

    async def restore(self) -> None:
        """Undo whatever a failed case left behind."""
        for proxy in (*self.kafka_proxies, self.temporal_proxy):
            proxy.delay_s = 0
            proxy.drops = drop_nothing
            proxy.open()

        if not self.temporal.process.running:
            await self.restart_temporal()

        for node in self.kafka.nodes:
            if node.process.running:
                node.thaw()

        await self.restart_kafka()
        thaw(self.temporal.process)


def freeze(child: Child) -> None:
    """Suspend a process: its connections stay open, but nothing answers."""
    child.signal(signal.SIGSTOP)


def thaw(child: Child) -> None:
    """Resume a frozen process."""
    child.signal(signal.SIGCONT)


@asynccontextmanager
async def running_servers(brokers: int = 1) -> AsyncIterator[Servers]:
    """Start all servers, with one Kafka broker or three; stop them in reverse order."""
    async with AsyncExitStack() as exits:
        kafka_proxies = [Proxy(kafka_frame) for _ in range(brokers)]
        temporal_proxy = Proxy(http2_frame)
        for proxy in (*kafka_proxies, temporal_proxy):
            await proxy.listen()
            exits.push_async_callback(proxy.stop)

        kafka_ports = [proxy.port for proxy in kafka_proxies]
        rights = AUTHORISING if brokers == 1 else {}  # controllers that may not vote yet could not elect the first one
        kafka = LocalKafka(brokers=brokers, proxied_as=kafka_ports, settings=rights)
        temporal = LocalTemporal(durable=True)
        for server in (kafka, temporal):
            exits.push_async_callback(asyncio.to_thread, server.stop)

        await asyncio.gather(asyncio.to_thread(kafka.start), asyncio.to_thread(temporal.start))
        for proxy, node in zip(kafka_proxies, kafka.nodes, strict=True):
            proxy.forward_to(node.behind_proxy)
        temporal_proxy.forward_to(temporal.address)

        mail_server = MailServer()
        siteverify = SiteverifyServer()
        dns_server = DnsServer()
        for small in (mail_server, siteverify, dns_server):
            await small.start()
            exits.push_async_callback(small.stop)

        yield Servers(kafka, temporal, kafka_proxies, temporal_proxy, mail_server, siteverify, dns_server)
