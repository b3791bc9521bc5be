"""A real Apache Kafka (KRaft), one broker or several, as child processes, from Python packages alone."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from deploy.local.places import LOOPBACK, StackError, free_ports
from deploy.local.processes import Child
from deploy.local.server_process import READY_WITHIN_S, start_on_free_ports
from deploy.local.servers.kafka_answers import brokers_are_in_sync
from deploy.local.servers.kafka_jars import jars_folder
from deploy.local.servers.kafka_node import KafkaNode, NodePorts
from deploy.local.waiting import wait_for

AUTHORISING: Final = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
"""Settings of a broker with an authorizer: a topic or group with an ACL is open to those that the ACL names only."""

_COMMON: Final[Mapping[str, str | int]] = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",  # as in production: a missing topic is an error
    "group.initial.rebalance.delay.ms": 0,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.num.partitions": 1,
}

SINGLE_NODE: Final[Mapping[str, str | int]] = {
    **_COMMON,
    "node.id": 1,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
}
"""Settings of a broker that is a cluster of its own."""

_CLUSTER: Final[Mapping[str, str | int]] = {
    **_COMMON,
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
    "offsets.topic.replication.factor": 3,
    "transaction.state.log.replication.factor": 3,
    "transaction.state.log.min.isr": 2,
    "share.coordinator.state.topic.replication.factor": 3,
    "share.coordinator.state.topic.min.isr": 2,
    "leader.imbalance.check.interval.seconds": 10,  # leaders return soon after their broker does
}

_LOCAL: Final[Mapping[str, str | int]] = {
    "broker.session.timeout.ms": 2_000,  # how long the controller waits for a broker that was killed
    "broker.heartbeat.interval.ms": 500,
    "log.cleaner.dedupe.buffer.size": 16_777_216,
}
_HEAP_ALONE: Final = "512m"
_HEAP_EACH: Final = "256m"
_IN_SYNC_WITHIN_S: Final = 60


class LocalKafka:
    """One broker, or a cluster of three, on free ports of the loopback interface. All its data goes when it stops.

    Each node is a controller as well. In a cluster, a write needs two of three replicas.
    ``settings`` are added to the brokers' own. With ``proxied_as``, the port of one proxy
    for each node, a node also listens at its ``behind_proxy``, and tells clients that connect
    there to use the proxies' ports from then on.
    """

    def __init__(
        self,
        *,
        brokers: int = 1,
        proxied_as: int | Sequence[int] = (),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.nodes: list[KafkaNode] = []
        self._brokers = brokers
        self._proxied_as = [proxied_as] if isinstance(proxied_as, int) else proxied_as
        self._settings = dict(settings or {})

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of all nodes."""
        return ",".join(node.address for node in self.nodes)

    @property
    def behind_proxy(self) -> str:
        """Where the proxy of the first node connects."""
        return self.nodes[0].behind_proxy

    @property
    def process(self) -> Child:
        """The process of the first node. Raises ``StackError`` if it was never started."""
        if not self.nodes:
            raise StackError("Kafka was not started.")
        return self.nodes[0].process

    def start(self) -> None:
        """Start all nodes and return once they answer and are in sync. Raises ``StackError``."""
        jars = jars_folder()
        start_on_free_ports(lambda: self._launch(jars), self.stop)

    def start_again(self) -> None:
        """Start the nodes again that have ended, with the same ports and data. Raises ``StackError``."""
        ended = [node for node in self.nodes if not node.process.running]
        for node in ended:
            node.launch()
        for node in ended:
            node.wait_until_ready()

    def wait_until_in_sync(self, within_s: float = _IN_SYNC_WITHIN_S) -> None:
        """Return once all nodes are up and each has all records of its partitions. Raises ``StackError``."""

        def in_sync() -> bool:
            return all(brokers_are_in_sync(node.address, self._brokers) for node in self.nodes)

        wait_for(in_sync, "Kafka's replicas", within_s=within_s)

    def stop(self) -> None:
        """End all nodes and remove their data. May be called again."""
        nodes = self.nodes
        self.nodes = []
        if len(nodes) > 1:  # the last ones would wait in vain for a controller to hand their partitions to
            for node in nodes:
                node.kill()
        for node in nodes:
            node.process.stop()

    def _launch(self, jars: Path) -> None:
        ports = self._choose_ports()
        settings = self._settings_of_all(ports)
        heap = _HEAP_ALONE if self._brokers == 1 else _HEAP_EACH
        self.nodes = [
            KafkaNode(number, Child("kafka"), own, settings, max_heap=heap) for number, own in enumerate(ports, start=1)
        ]

        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: node.prepare(jars), self.nodes))

        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_until_ready()

        if self._brokers > 1:
            self.wait_until_in_sync(READY_WITHIN_S)

    def _choose_ports(self) -> list[NodePorts]:
        free = iter(free_ports(3 * self._brokers))
        proxies: Sequence[int | None] = self._proxied_as or [None] * self._brokers
        return [NodePorts(next(free), next(free), next(free), proxy) for proxy in proxies]

    def _settings_of_all(self, ports: Sequence[NodePorts]) -> dict[str, str | int]:
        voters = [f"{number}@{LOOPBACK}:{own.controllers}" for number, own in enumerate(ports, start=1)]
        replication = SINGLE_NODE if self._brokers == 1 else _CLUSTER
        settings = {
            **replication,
            **_LOCAL,
            "controller.quorum.voters": ",".join(voters),
            **self._settings,
        }
        settings.pop("node.id", None)
        return settings
