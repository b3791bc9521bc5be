"""How topics should be set up, and what counts as a difference."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from utils.kafka.access import KafkaAccess
from utils.kafka.topics import TopicPlan, TopicState, differences, look_up_topics, planned_topics

DAY_MS = 86_400_000
UNKNOWN_TOPIC = 3
REFUSED = 29


def test_dead_letters_are_gone_within_a_day() -> None:
    """Retention plus the time for which a segment stays open is less than 24 h."""
    plans = {plan.name: plan for plan in planned_topics("a", "b", "c")}

    for name in ("a.dlt", "b.dlt"):
        settings = plans[name].settings
        assert int(settings["retention.ms"]) + int(settings["segment.ms"]) < DAY_MS


def test_inbound_records_get_the_brokers_timestamp() -> None:
    """All five topics have the same number of partitions, and the inbound ones the broker's timestamp."""
    plans = {plan.name: plan for plan in planned_topics("a", "b", "c", partitions=4)}

    assert set(plans) == {"a", "b", "a.dlt", "b.dlt", "c"}
    assert {plan.partitions for plan in plans.values()} == {4}
    assert {plans[name].settings["message.timestamp.type"] for name in ("a", "b")} == {"LogAppendTime"}


@pytest.mark.parametrize(
    ("retention", "differs"), [("1000", False), ("2000", False), ("3000", True), ("-1", True), (None, True)]
)
def test_only_a_longer_retention_is_a_difference(retention: str | None, differs: bool) -> None:
    """A shorter retention than planned suits the plan; a longer one, or none at all, does not."""
    settings = {} if retention is None else {"retention.ms": retention}
    found = differences(TopicPlan("t", 1, {"retention.ms": "2000"}), TopicState(1, settings))
    assert bool(found) is differs


class Admin:
    """Describes one topic of two partitions, and answers with this error when asked for its settings."""

    def __init__(self, code: int) -> None:
        self._code = code

    async def describe_topics(self) -> Sequence[dict[str, Any]]:
        """Return the topic."""
        return [{"topic": "in", "error_code": 0, "partitions": [{}, {}]}]

    async def describe_configs(self, _resources: object) -> Sequence[Any]:
        """Return a setting, or an error."""
        entry: tuple[Any, ...] = ("retention.ms", "1000", False, 5, False, [])
        return [SimpleNamespace(resources=[(self._code, None, 2, "in", [] if self._code else [entry])])]


@pytest.mark.parametrize(
    ("code", "states"),
    [
        (0, {"in": TopicState(2, {"retention.ms": "1000"})}),
        (REFUSED, {"in": TopicState(2, None)}),
        (UNKNOWN_TOPIC, {}),
    ],
)
async def test_a_topic_whose_settings_may_not_be_seen_exists(
    monkeypatch: pytest.MonkeyPatch, code: int, states: object
) -> None:
    """The right to see them is optional. A topic that is gone by then does not exist."""

    @asynccontextmanager
    async def admin(_access: KafkaAccess) -> AsyncIterator[Admin]:
        yield Admin(code)

    monkeypatch.setattr("utils.kafka.topics.kafka_admin", admin)

    assert await look_up_topics(KafkaAccess("k:9092"), ["in", "codes"]) == states


def test_settings_that_may_not_be_seen_are_a_difference() -> None:
    """Nobody can tell whether they are as planned."""
    found = differences(TopicPlan("t", 1, {"retention.ms": "2000"}), TopicState(1, None))
    assert found == ["t: no right to see its settings"]
