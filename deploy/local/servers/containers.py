"""Kafka and Temporal from their official images, for machines with Docker (``SIGNIN_TEST_BACKEND=docker``)."""

from collections.abc import Callable
from typing import Final

from testcontainers.core.container import DockerContainer

from deploy.local.servers.kafka import SINGLE_NODE
from deploy.local.servers.kafka_answers import broker_answers
from deploy.local.places import LOOPBACK, StackError, free_ports
from deploy.local.servers.temporal import LocalTemporal, namespace_answers
from deploy.local.waiting import wait_for

KAFKA_IMAGE: Final = "apache/kafka:4.3.1"
TEMPORAL_IMAGE: Final = "temporalio/temporal:1.9.1"
_READY_WITHIN_S: Final = 120
_SHOWN_LINES: Final = 15
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
        # The port is chosen here because the broker must tell it to its clients. The broker
        # is a client of its own (it verifies transactions by a request to itself), so the
        # port must be the same inside the container.
        (port,) = free_ports(1)
        self.bootstrap_servers = f"{LOOPBACK}:{port}"
        environment = _kafka_environment(port)

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
        ports = [_TEMPORAL_PORT, _UI_PORT] if self._ui else [_TEMPORAL_PORT]
        command = "server start-dev --ip 0.0.0.0 --log-level error"
        command += " --ui-disable-news-fetch" if self._ui else " --headless"

        self._container.start(lambda container: container.with_exposed_ports(*ports).with_command(command))
        self.address = self._container.address_of(_TEMPORAL_PORT)
        self.ui_url = f"http://{self._container.address_of(_UI_PORT)}" if self._ui else None
        self._container.wait_until(lambda: namespace_answers(self.address, LocalTemporal.namespace))

    def stop(self) -> None:
        """Remove the container."""
        self._container.stop()


class _Container:
    """A container that is removed when it fails, and says why it failed."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._container: DockerContainer | None = None

    def start(self, prepare: Callable[[DockerContainer], object]) -> None:
        """Start the container after ``prepare`` has configured it. Raises ``StackError``."""
        try:
            self._container = DockerContainer(self._image)  # connects to Docker already
            prepare(self._container)
            self._container.start()
        except Exception as error:  # of the Docker client, or of requests below it
            self.stop()
            raise StackError(
                f"Docker could not start {self._image}: does `docker run --rm {self._image}` work? Or unset "
                f"SIGNIN_TEST_BACKEND to go without Docker. ({type(error).__name__}: {error})"
            ) from error

    def address_of(self, port: int) -> str:
        """Return the address that a port of the container is published at."""
        assert self._container is not None
        return f"{LOOPBACK}:{self._container.get_exposed_port(port)}"

    def wait_until(self, answers: Callable[[], bool]) -> None:
        """Wait until it answers. Raises ``StackError`` with its last output if it ends first or time is up."""
        try:
            wait_for(lambda: self._runs() and answers(), self._image, within_s=_READY_WITHIN_S)
        except StackError as error:
            output = self._last_output()
            self.stop()
            raise StackError(f"{error} Its last output:\n{output}") from None

    def stop(self) -> None:
        """Stop and remove the container. May be called again."""
        container = self._container
        self._container = None
        if container is not None:
            container.stop()

    def _runs(self) -> bool:
        assert self._container is not None
        self._container.reload()
        if self._container.status == "exited":
            raise StackError(f"{self._image} ended while it was starting.")
        return True

    def _last_output(self) -> str:
        assert self._container is not None
        output = b"".join(self._container.get_logs()).decode(errors="replace")
        lines = output.splitlines()[-_SHOWN_LINES:]
        return "\n".join(f"  {line}" for line in lines) or "  (none)"


def _kafka_environment(port: int) -> dict[str, str]:
    """Return the broker's settings as the image takes them. Once one is given, the image adds none of its own."""
    settings = {
        **SINGLE_NODE,
        "controller.quorum.voters": f"1@localhost:{_CONTROLLER_PORT}",
        "listeners": f"PLAINTEXT://:{port},CONTROLLER://:{_CONTROLLER_PORT}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    }
    return {f"KAFKA_{name.replace('.', '_').upper()}": str(value) for name, value in settings.items()}
