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
from deploy.local.servers.outside import outside_settings
from deploy.local.servers.siteverify import SiteverifyServer
from deploy.local.servers.temporal import LocalTemporal
from deploy.local.servers.temporal_cluster import ClusterTemporal
from tests.faults.proxy import Proxy, http2_frame, kafka_frame, drop_nothing


@dataclass
class Servers:
    """The running servers. Workers reach Kafka and Temporal only through the proxies; the tests connect directly."""

    kafka: LocalKafka
    temporal: LocalTemporal | ClusterTemporal
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
            **outside_settings(self.mail_server, self.siteverify, self.dns_server),
            "TEMPORAL_ADDRESS": f"127.0.0.1:{self.temporal_proxy.port}",
            "TEMPORAL_NAMESPACE": LocalTemporal.namespace,
        }

    @property
    def cluster(self) -> ClusterTemporal:
        """Temporal as it runs in production, which some cases need."""
        assert isinstance(self.temporal, ClusterTemporal), "this case runs on a cluster only"
        return self.temporal

    async def kill_temporal(self) -> None:
        """Kill Temporal, all its services. Its state survives in a file or a database."""
        await asyncio.to_thread(self.temporal.kill)

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

        if isinstance(self.temporal, ClusterTemporal) and not self.temporal.database.process.running:
            await asyncio.to_thread(self.temporal.database.start_again)
        if not all(process.running for process in self.temporal.processes):
            await self.restart_temporal()

        for node in self.kafka.nodes:
            if node.process.running:
                node.thaw()

        await self.restart_kafka()
        thaw(*self.temporal.processes)


def freeze(*children: Child) -> None:
    """Suspend processes: their connections stay open, but nothing answers."""
    for child in children:
        child.signal(signal.SIGSTOP)


def thaw(*children: Child) -> None:
    """Resume frozen processes."""
    for child in children:
        child.signal(signal.SIGCONT)


@asynccontextmanager
async def running_servers(brokers: int = 1, *, on_cluster: bool = False) -> AsyncIterator[Servers]:
    """Start all servers, with one Kafka broker or three; stop them in reverse order.

    ``on_cluster``: with Temporal as it runs in production, instead of the dev server.
    """
    async with AsyncExitStack() as exits:
        kafka_proxies = [Proxy(kafka_frame) for _ in range(brokers)]
        temporal_proxy = Proxy(http2_frame)
        for proxy in (*kafka_proxies, temporal_proxy):
            await proxy.listen()
            exits.push_async_callback(proxy.stop)

        kafka_ports = [proxy.port for proxy in kafka_proxies]
        rights = AUTHORISING if brokers == 1 else {}  # controllers that may not vote yet could not elect the first one
        kafka = LocalKafka(brokers=brokers, proxied_as=kafka_ports, settings=rights)
        temporal = ClusterTemporal() if on_cluster else LocalTemporal(durable=True)
        started: list[LocalKafka | LocalTemporal | ClusterTemporal] = [kafka, temporal]
        for server in started:
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
