"""Kafka and Temporal from their official images, where Docker is there (``SIGNIN_TEST_BACKEND=docker``)."""

from typing import Final

from testcontainers.core.container import DockerContainer

from deploy.local.kafka import broker_answers
from deploy.local.places import LOOPBACK, StackError, free_ports
from deploy.local.temporal import LocalTemporal, namespace_answers
from deploy.local.waiting import wait_for

KAFKA_IMAGE: Final = "apache/kafka:4.3.1"
TEMPORAL_IMAGE: Final = "temporalio/temporal:1.9.1"
_READY_WITHIN_S: Final = 120
_KAFKA_PORT: Final = 9092
_TEMPORAL_PORT: Final = 7233


class KafkaContainer:
    """One broker in a container."""

    def __init__(self) -> None:
        self.bootstrap_servers = ""
        self._container: DockerContainer | None = None

    def start(self) -> None:
        """Start the container and return once the broker answers. Raises ``StackError``."""
        (port,) = free_ports(1)  # chosen here, since the broker has to tell it to its clients
        self.bootstrap_servers = f"{LOOPBACK}:{port}"
        settings = {
            "NODE_ID": "1",
            "PROCESS_ROLES": "broker,controller",
            "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "LISTENERS": f"PLAINTEXT://:{_KAFKA_PORT},CONTROLLER://:9093",
            "ADVERTISED_LISTENERS": f"PLAINTEXT://{self.bootstrap_servers}",
            "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "AUTO_CREATE_TOPICS_ENABLE": "false",
            "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        }
        container = DockerContainer(KAFKA_IMAGE).with_bind_ports(_KAFKA_PORT, port)
        for name, value in settings.items():
            container = container.with_env(f"KAFKA_{name}", value)
        self._container = _started(container, KAFKA_IMAGE)
        wait_for(lambda: broker_answers(self.bootstrap_servers), KAFKA_IMAGE, within_s=_READY_WITHIN_S)

    def stop(self) -> None:
        """Remove the container."""
        if self._container is not None:
            self._container.stop()


class TemporalContainer:
    """The dev server in a container."""

    ui_url: str | None = None

    def __init__(self) -> None:
        self.address = ""
        self._container: DockerContainer | None = None

    def start(self) -> None:
        """Start the container and return once the server answers. Raises ``StackError``."""
        container = DockerContainer(TEMPORAL_IMAGE).with_exposed_ports(_TEMPORAL_PORT)
        container = container.with_command("server start-dev --headless --ip 0.0.0.0 --log-level error")
        self._container = _started(container, TEMPORAL_IMAGE)
        self.address = f"{LOOPBACK}:{self._container.get_exposed_port(_TEMPORAL_PORT)}"
        answers = LocalTemporal.namespace
        wait_for(lambda: namespace_answers(self.address, answers), TEMPORAL_IMAGE, within_s=_READY_WITHIN_S)

    def stop(self) -> None:
        """Remove the container."""
        if self._container is not None:
            self._container.stop()


def _started(container: DockerContainer, image: str) -> DockerContainer:
    try:
        return container.start()
    except Exception as error:  # the Docker client's exceptions, and requests' ones through it
        raise StackError(
            f"Docker could not start {image}: does `docker run --rm {image}` work? Or unset SIGNIN_TEST_BACKEND "
            f"to go without Docker. ({type(error).__name__})"
        ) from error
