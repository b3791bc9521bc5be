"""How topics should be set up, and what counts as a difference."""

import pytest

from utils.kafka.topics import TopicPlan, TopicState, differences, planned_topics

DAY_MS = 86_400_000


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
