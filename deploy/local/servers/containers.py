"""Kafka and Temporal from their official images, where Docker is there (``SIGNIN_TEST_BACKEND=docker``)."""

from collections.abc import Callable
from typing import Final

from testcontainers.core.container import DockerContainer

from deploy.local.servers.kafka import broker_answers
from deploy.local.places import LOOPBACK, StackError, free_ports
from deploy.local.servers.temporal import LocalTemporal, namespace_answers
from deploy.local.waiting import wait_for

KAFKA_IMAGE: Final = "apache/kafka:4.3.1"
TEMPORAL_IMAGE: Final = "temporalio/temporal:1.9.1"
_READY_WITHIN_S: Final = 120
_KEPT_LINES: Final = 15
_CONTROLLER_PORT: Final = 9093
_TEMPORAL_PORT: Final = 7233
_UI_PORT: Final = 8233


class KafkaContainer:
    """One broker in a container."""

    def __init__(self) -> None:
        self.bootstrap_servers = ""
        self._container = _Container(KAFKA_IMAGE)

    def start(self) -> None:
        """Start the container and return once the broker answers. Raises ``StackError``."""
        # Chosen here, since the broker has to tell it to its clients. The broker is one of them (it verifies
        # transactions by a request to itself), so inside of the container the port has to be the same.
        (port,) = free_ports(1)
        self.bootstrap_servers = f"{LOOPBACK}:{port}"
        environment = {f"KAFKA_{name}": value for name, value in _kafka_settings(port).items()}
        self._container.start(lambda container: container.with_bind_ports(port, port).with_envs(**environment))
        self._container.wait_until(lambda: broker_answers(self.bootstrap_servers))

    def stop(self) -> None:
        """Remove the container."""
        self._container.stop()


class TemporalContainer:
    """The dev server in a container."""

    def __init__(self, *, ui: bool = False) -> None:
        self.address = ""
        self.ui_url: str | None = None
        self._ui = ui
        self._container = _Container(TEMPORAL_IMAGE)

    def start(self) -> None:
        """Start the container and return once the server answers. Raises ``StackError``."""
        command = "server start-dev --ip 0.0.0.0 --log-level error"
        ports = [_TEMPORAL_PORT, _UI_PORT] if self._ui else [_TEMPORAL_PORT]
        command += " --ui-disable-news-fetch" if self._ui else " --headless"
        self._container.start(lambda container: container.with_exposed_ports(*ports).with_command(command))
        self.address = self._container.address_of(_TEMPORAL_PORT)
        self.ui_url = f"http://{self._container.address_of(_UI_PORT)}" if self._ui else None
        self._container.wait_until(lambda: namespace_answers(self.address, LocalTemporal.namespace))

    def stop(self) -> None:
        """Remove the container."""
        self._container.stop()


class _Container:
    """A container that does not stay behind when it fails, and says why it failed."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._container: DockerContainer | None = None

    def start(self, prepare: Callable[[DockerContainer], object]) -> None:
        """Start it as ``prepare`` wants it. Raises ``StackError``."""
        try:
            self._container = DockerContainer(self._image)  # asks Docker already
            prepare(self._container)
            self._container.start()
        except Exception as error:  # the Docker client's exceptions, and requests' ones through it
            self.stop()
            raise StackError(
                f"Docker could not start {self._image}: does `docker run --rm {self._image}` work? Or unset "
                f"SIGNIN_TEST_BACKEND to go without Docker. ({type(error).__name__}: {error})"
            ) from error

    def address_of(self, port: int) -> str:
        """Return where a port of the container is to be found."""
        assert self._container is not None
        return f"{LOOPBACK}:{self._container.get_exposed_port(port)}"

    def wait_until(self, answers: Callable[[], bool]) -> None:
        """Return once it answers. Raises ``StackError`` with its last words when it ends first or time is up."""
        try:
            wait_for(lambda: self._runs() and answers(), self._image, within_s=_READY_WITHIN_S)
        except StackError as error:
            words = self._last_words()
            self.stop()
            raise StackError(f"{error} Its last words:\n{words}") from None

    def stop(self) -> None:
        """End and remove it. May be called again."""
        container, self._container = self._container, None
        if container is not None:
            container.stop()

    def _runs(self) -> bool:
        assert self._container is not None
        self._container.reload()
        if self._container.status == "exited":
            raise StackError(f"{self._image} ended while it was starting.")
        return True

    def _last_words(self) -> str:
        assert self._container is not None
        lines = b"".join(self._container.get_logs()).decode(errors="replace").splitlines()[-_KEPT_LINES:]
        return "\n".join(f"  {line}" for line in lines) or "  (none)"


def _kafka_settings(port: int) -> dict[str, str]:
    """Return the broker's properties as the image takes them: with one given, it has no others of its own."""
    return {
        "NODE_ID": "1",
        "PROCESS_ROLES": "broker,controller",
        "CONTROLLER_QUORUM_VOTERS": f"1@localhost:{_CONTROLLER_PORT}",
        "LISTENERS": f"PLAINTEXT://:{port},CONTROLLER://:{_CONTROLLER_PORT}",
        "ADVERTISED_LISTENERS": f"PLAINTEXT://{LOOPBACK}:{port}",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "AUTO_CREATE_TOPICS_ENABLE": "false",
        "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "OFFSETS_TOPIC_NUM_PARTITIONS": "4",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_NUM_PARTITIONS": "4",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "SHARE_COORDINATOR_STATE_TOPIC_NUM_PARTITIONS": "1",
        "SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
        "SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
    }
