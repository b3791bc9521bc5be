"""Metrics of credentials and producers (docs/adr/0021)."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

RESULTS: Final = "results"
DEAD_LETTERS: Final = "dead_letters"
"""The names of the worker's producers."""


class Credentials(Protocol):
    """Credentials that may change."""

    @property
    def name(self) -> str:
        """What they are for."""
        ...

    @property
    def is_outdated(self) -> bool:
        """Whether there are new ones that cannot be used."""
        ...


class Producer(Protocol):
    """A producer of records."""

    @property
    def delivers(self) -> bool:
        """Whether records are acknowledged."""
        ...


class ConnectionCollectors:
    """The metrics of credentials and producers. Gauges are read when they are collected."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._producers: dict[str, Producer] = {}
        self._outdated = Gauge(
            "signin_credentials_outdated",
            "1 while files with credentials have changed but cannot be used, so the old ones stay in use.",
            ("credentials",),
            registry=registry,
        )
        self._failing = Gauge(
            "signin_producer_failing",
            "1 while Kafka accepts nothing that this producer sends.",
            ("producer",),
            registry=registry,
        )
        self._replaced = Counter(
            "signin_producer_replaced",
            "Producers that could no longer deliver and were replaced.",
            ("producer",),
            registry=registry,
        )

    def watch_credentials(self, credentials: Iterable[Credentials]) -> None:
        """Show whether these credentials are outdated."""
        for each in credentials:
            self._outdated.labels(credentials=each.name).set_function(partial(_as_gauge, each))

    def watch_producer(self, name: str, producer: Producer) -> None:
        """Show whether this producer fails."""
        self._producers[name] = producer
        self._failing.labels(producer=name).set_function(lambda: float(not producer.delivers))

    def delivers(self, name: str) -> bool:
        """Tell whether the producer of this name delivers."""
        return self._producers[name].delivers

    def count_replaced(self, name: str) -> Callable[[], None]:
        """Return a function that counts a producer of this name that was replaced."""
        return self._replaced.labels(producer=name).inc


def _as_gauge(credentials: Credentials) -> float:
    return float(credentials.is_outdated)
