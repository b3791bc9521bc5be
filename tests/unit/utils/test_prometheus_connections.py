"""Metrics of credentials and producers."""

from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from utils.prometheus_connections import ConnectionCollectors


@pytest.fixture
def registry() -> CollectorRegistry:
    """Give a registry."""
    return CollectorRegistry()


def test_gauges_show_the_present_state(registry: CollectorRegistry) -> None:
    """They are read when they are collected, so nobody has to report a change."""
    collectors = ConnectionCollectors(registry)
    credentials = SimpleNamespace(name="Kafka certificates", is_outdated=False)
    producer = SimpleNamespace(delivers=True)
    collectors.watch_credentials([credentials])
    collectors.watch_producer("results", producer)

    def shown() -> tuple[float | None, float | None]:
        return (
            registry.get_sample_value("signin_credentials_outdated", {"credentials": "Kafka certificates"}),
            registry.get_sample_value("signin_producer_failing", {"producer": "results"}),
        )

    assert shown() == (0, 0)
    assert collectors.delivers("results")

    credentials.is_outdated = True
    producer.delivers = False

    assert shown() == (1, 1)
    assert not collectors.delivers("results")


def test_replaced_producers_are_counted_from_0(registry: CollectorRegistry) -> None:
    """A counter that first appears with its first event starts at 1, and an increase is not seen."""
    count = ConnectionCollectors(registry).count_replaced("results")
    assert registry.get_sample_value("signin_producer_replaced_total", {"producer": "results"}) == 0

    count()

    assert registry.get_sample_value("signin_producer_replaced_total", {"producer": "results"}) == 1
