"""What ``signin-worker forget`` says remains in Temporal and Kafka, and until when."""

import json
from datetime import timedelta

import pytest

from consumers.ports import KafkaUnavailable
from tests.fakes.erasure import FakeErasure
from tests.fakes.wiring import FakeWiring
from tests.unit.utils.cli.test_forget import ADA, OLD_REQUEST, OLD_RUN, run
from utils.cli import forget as command
from utils.kafka.access import KafkaAccess
from utils.kafka.retention import Held, retention
from utils.kafka.topics import TopicState


class Broker:
    """Has the topic of requests. ``settings``: None if they may not be seen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str] | None) -> None:
        self._settings = settings
        monkeypatch.setattr("utils.kafka.retention.look_up_topics", self.look_up)
        monkeypatch.setattr(command, "retention", retention)

    async def look_up(self, _access: KafkaAccess, _names: object) -> dict[str, TopicState]:
        """Return the topic."""
        return {"signin.requested": TopicState(6, self._settings)}


@pytest.mark.parametrize("milliseconds", [2**63 - 1, 315_360_000_000_000])
def test_a_retention_of_many_centuries_is_for_ever(
    monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring, milliseconds: int
) -> None:
    """The largest number that Kafka takes is a common way to say so."""
    Broker(monkeypatch, {"retention.ms": str(milliseconds), "cleanup.policy": "delete"})
    erasure = FakeErasure(OLD_REQUEST)

    code, output = run(monkeypatch, wiring, erasure, ADA, "--yes")

    assert (code, erasure.deleted) == (0, [OLD_REQUEST])
    assert "Kafka, signin.requested: FOR EVER, by its settings" in output
    assert "docs/retention.md" in output


def test_a_namespace_that_remembers_for_centuries_does_so_for_ever(
    monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring
) -> None:
    """No date is that far away."""

    async def namespace(_client: object) -> timedelta:
        return timedelta(days=3_650_000)

    monkeypatch.setattr(command, "namespace_retention", namespace)

    code, output = run(monkeypatch, wiring, FakeErasure(OLD_REQUEST), ADA, "--yes")

    assert code == 0
    assert "never reached the mailbox: FOR EVER, by its settings (--search)" in output


def test_topics_that_cannot_be_seen_remain(monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring) -> None:
    """The report says of each topic how long it holds records, or that nobody knows."""
    Broker(monkeypatch, None)

    _, output = run(monkeypatch, wiring, FakeErasure(), ADA, "--yes")
    _, as_json = run(monkeypatch, wiring, FakeErasure(), ADA, "--yes", "--json")
    report = json.loads(as_json)

    assert "Kafka, signin.requested: unknown: no right to see its settings" in output
    assert "Kafka, signin.results: unknown: it does not exist, or there is no right to see it" in output
    assert report["topics"] == {}
    assert report["unknown_topics"]["signin.requested"] == "no right to see its settings"
    assert len(report["unknown_topics"]) == 5


def test_a_kafka_that_is_away_does_not_stop_it(monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring) -> None:
    """What Temporal holds can be deleted all the same."""

    async def away(_access: object, _names: object) -> dict[str, Held]:
        raise KafkaUnavailable("no broker")

    monkeypatch.setattr(command, "retention", away)
    erasure = FakeErasure(OLD_RUN)

    code, output = run(monkeypatch, wiring, erasure, ADA, "--yes")

    assert (code, erasure.deleted) == (0, [OLD_RUN])
    assert "Kafka does not answer" in output
