"""Which Kafka and which Temporal the demo and the tests use.

The first of these that applies:

1. an address given in ``SIGNIN_TEST_KAFKA`` or ``SIGNIN_TEST_TEMPORAL``;
2. containers of the official images, with ``SIGNIN_TEST_BACKEND=docker``;
3. child processes of this one: Temporal and Java from PyPI, Kafka's jars from Maven Central.
   ``SIGNIN_TEST_BROKERS=3`` starts a cluster of three brokers instead of one.

Docker is used only on request, even where it is installed: so the same command does the
same on every machine, and a Docker that cannot pull images breaks nothing. On machines with
Docker, ``described`` mentions the option.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from deploy.local.servers.kafka import LocalKafka
from deploy.local.servers.kafka_answers import broker_answers
from deploy.local.places import StackError
from deploy.local.servers.temporal import LocalTemporal, namespace_answers

_BACKENDS: Final = ("local", "docker")
_DOCKER_SOCKET: Final = Path("/var/run/docker.sock")


class Kafka(Protocol):
    """A broker or a cluster that is started here, or one that already runs."""

    @property
    def bootstrap_servers(self) -> str:
        """The addresses at which clients connect first."""
        ...

    def start(self) -> None:
        """Return once the server answers. Raises ``StackError``."""
        ...

    def stop(self) -> None:
        """Stop the server if it was started here."""
        ...


class Temporal(Protocol):
    """A Temporal server that is started here, or one that already runs."""

    address: str
    ui_url: str | None

    def start(self) -> None:
        """Return once the server answers. Raises ``StackError``."""
        ...

    def stop(self) -> None:
        """Stop the server if it was started here."""
        ...


class GivenKafka:
    """A broker that runs already."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers

    def start(self) -> None:
        """Check that the server answers."""
        if not broker_answers(self.bootstrap_servers):
            raise StackError(f"No Kafka answers at {self.bootstrap_servers}: correct or unset SIGNIN_TEST_KAFKA.")

    def stop(self) -> None:
        """Do nothing: the server is not ours."""


class GivenTemporal:
    """A server that runs already, with the namespace ``default``."""

    ui_url: str | None = None

    def __init__(self, address: str) -> None:
        self.address = address

    def start(self) -> None:
        """Check that the server answers."""
        if not namespace_answers(self.address, LocalTemporal.namespace):
            raise StackError(
                f"No Temporal with a namespace named {LocalTemporal.namespace} answers at {self.address}: "
                "correct or unset SIGNIN_TEST_TEMPORAL."
            )

    def stop(self) -> None:
        """Do nothing: the server is not ours."""


def choose_kafka(environment: Mapping[str, str] = os.environ) -> Kafka:
    """Return the broker to use. It is not started yet."""
    if address := environment.get("SIGNIN_TEST_KAFKA"):
        return GivenKafka(address)
    if _backend(environment) == "docker":
        from deploy.local.servers.containers import (
            KafkaContainer,
        )  # only this needs the Docker client

        return KafkaContainer()
    return LocalKafka(brokers=_brokers(environment))


def choose_temporal(environment: Mapping[str, str] = os.environ, *, ui: bool = False) -> Temporal:
    """Return the server to use. It is not started yet."""
    if address := environment.get("SIGNIN_TEST_TEMPORAL"):
        return GivenTemporal(address)
    if _backend(environment) == "docker":
        from deploy.local.servers.containers import TemporalContainer

        return TemporalContainer(ui=ui)
    return LocalTemporal(ui=ui)


def described(environment: Mapping[str, str] = os.environ) -> str:
    """Return a line that says what is used."""
    started = {"docker": "a container", "local": "a child process"}[_backend(environment)]
    brokers = "three child processes" if _brokers(environment) == 3 and started == "a child process" else started
    kafka = environment.get("SIGNIN_TEST_KAFKA") or brokers
    temporal = environment.get("SIGNIN_TEST_TEMPORAL") or started

    by_default = not environment.get("SIGNIN_TEST_BACKEND") and (brokers == kafka or started == temporal)
    offers_docker = by_default and _has_docker(environment)
    hint = " (to use Docker and the official images: SIGNIN_TEST_BACKEND=docker)" if offers_docker else ""

    return f"Kafka: {kafka}; Temporal: {temporal}{hint}"


def _brokers(environment: Mapping[str, str]) -> int:
    brokers = environment.get("SIGNIN_TEST_BROKERS") or "1"
    if brokers not in ("1", "3"):
        raise StackError(f"SIGNIN_TEST_BROKERS is {brokers!r}: use 1 or 3.")
    return int(brokers)


def _has_docker(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("DOCKER_HOST")) or _DOCKER_SOCKET.exists()


def _backend(environment: Mapping[str, str]) -> str:
    backend = environment.get("SIGNIN_TEST_BACKEND") or "local"
    if backend not in _BACKENDS:
        raise StackError(f"SIGNIN_TEST_BACKEND is {backend!r}: use {' or '.join(_BACKENDS)}.")
    return backend
