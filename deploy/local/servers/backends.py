"""Which Kafka and which Temporal the demo and the tests use.

The first of these that applies:

1. an address given in ``SIGNIN_TEST_KAFKA`` or ``SIGNIN_TEST_TEMPORAL``;
2. containers of the official images, with ``SIGNIN_TEST_BACKEND=docker``;
3. child processes of this one: Temporal and Java from PyPI, Kafka's jars from Maven Central.

Docker is asked for and not just taken where it is there: the same command does the same on every machine, and a Docker
that can pull no image breaks nothing. Whoever has it is told of the choice.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from deploy.local.servers.kafka import LocalKafka, broker_answers
from deploy.local.places import StackError
from deploy.local.servers.temporal import LocalTemporal, namespace_answers

_BACKENDS: Final = ("local", "docker")
_DOCKER_SOCKET: Final = Path("/var/run/docker.sock")


class Kafka(Protocol):
    """A broker to be started, or one that is there already."""

    bootstrap_servers: str

    def start(self) -> None:
        """Return once it answers. Raises ``StackError``."""
        ...

    def stop(self) -> None:
        """End it, if it was started here."""
        ...


class Temporal(Protocol):
    """A Temporal server to be started, or one that is there already."""

    address: str
    ui_url: str | None

    def start(self) -> None:
        """Return once it answers. Raises ``StackError``."""
        ...

    def stop(self) -> None:
        """End it, if it was started here."""
        ...


class GivenKafka:
    """A broker that somebody else runs."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers

    def start(self) -> None:
        """Check that it answers."""
        if not broker_answers(self.bootstrap_servers):
            raise StackError(f"No Kafka answers at {self.bootstrap_servers}: correct or unset SIGNIN_TEST_KAFKA.")

    def stop(self) -> None:
        """Leave it alone."""


class GivenTemporal:
    """A server that somebody else runs; the namespace is ``default``."""

    ui_url: str | None = None

    def __init__(self, address: str) -> None:
        self.address = address

    def start(self) -> None:
        """Check that it answers."""
        if not namespace_answers(self.address, LocalTemporal.namespace):
            raise StackError(
                f"No Temporal with a namespace named {LocalTemporal.namespace} answers at {self.address}: "
                "correct or unset SIGNIN_TEST_TEMPORAL."
            )

    def stop(self) -> None:
        """Leave it alone."""


def choose_kafka(environment: Mapping[str, str] = os.environ) -> Kafka:
    """Return the broker to use, not started yet."""
    if address := environment.get("SIGNIN_TEST_KAFKA"):
        return GivenKafka(address)
    if _backend(environment) == "docker":
        from deploy.local.servers.containers import KafkaContainer  # needs the Docker client only then

        return KafkaContainer()
    return LocalKafka()


def choose_temporal(environment: Mapping[str, str] = os.environ, *, ui: bool = False) -> Temporal:
    """Return the server to use, not started yet."""
    if address := environment.get("SIGNIN_TEST_TEMPORAL"):
        return GivenTemporal(address)
    if _backend(environment) == "docker":
        from deploy.local.servers.containers import TemporalContainer

        return TemporalContainer(ui=ui)
    return LocalTemporal(ui=ui)


def described(environment: Mapping[str, str] = os.environ) -> str:
    """Say in a line what was chosen."""
    started = {"docker": "a container", "local": "a child process"}[_backend(environment)]
    kafka = environment.get("SIGNIN_TEST_KAFKA") or started
    temporal = environment.get("SIGNIN_TEST_TEMPORAL") or started
    undecided = not environment.get("SIGNIN_TEST_BACKEND") and started in (kafka, temporal)
    hint = " (Docker is there: SIGNIN_TEST_BACKEND=docker takes the official images)"
    return f"Kafka: {kafka}; Temporal: {temporal}{hint if undecided and _docker_is_there(environment) else ''}"


def _docker_is_there(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("DOCKER_HOST")) or _DOCKER_SOCKET.exists()


def _backend(environment: Mapping[str, str]) -> str:
    backend = environment.get("SIGNIN_TEST_BACKEND") or "local"
    if backend not in _BACKENDS:
        raise StackError(f"SIGNIN_TEST_BACKEND is {backend!r}: it can be {' or '.join(_BACKENDS)}.")
    return backend
