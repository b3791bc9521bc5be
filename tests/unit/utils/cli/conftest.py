"""What the tests of ``signin-worker forget`` share."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.wiring import FakeWiring
from utils.cli import forget as command
from utils.kafka.retention import Held

NOW = datetime(2026, 11, 27, 16, 0, tzinfo=UTC)


@pytest.fixture
def wiring(monkeypatch: pytest.MonkeyPatch) -> FakeWiring:
    """Give a wiring without servers. It is four o'clock, and Kafka holds dead letters for 23 h."""
    wiring = FakeWiring()

    async def connect() -> None:
        return None

    async def namespace(_client: object) -> timedelta:
        return timedelta(days=7)

    async def topics(_access: object, _names: object) -> dict[str, Held]:
        return {"signin.requested.dlt": timedelta(hours=23), "signin.requested": None}

    monkeypatch.setattr(wiring, "temporal", connect)
    monkeypatch.setattr(command, "namespace_retention", namespace)
    monkeypatch.setattr(command, "retention", topics)
    monkeypatch.setattr(command, "utc_now", lambda: NOW)
    return wiring
