"""What the check says of topics, rights and the group, and which commands it offers."""

import dataclasses
from typing import Any

import pytest

from utils.checks.finding import Finding
from utils.checks.kafka import KafkaCheck, topic_uses
from utils.kafka.access import KafkaAccess
from utils.kafka.metadata import ClusterDescription, GroupDescription, TopicDescription
from utils.kafka.topics import planned_topics

ALL_RIGHTS = frozenset({"Describe", "Read", "Write", "DescribeConfigs"})
PLANS = planned_topics("in", "codes", "out")
ACCESS = KafkaAccess("k:9093", "SASL_SSL", username="worker", password="hush")
TOPIC = TopicDescription(partitions=6, replicas=3, in_sync=3, rights=ALL_RIGHTS)
GROUP = GroupDescription("Stable", "range", 2, ALL_RIGHTS)
GROUPS = {"g": GROUP, "replays": GROUP}


def check(access: KafkaAccess = ACCESS) -> KafkaCheck:
    """Return the check of the planned topics and of both groups."""
    return KafkaCheck(access, topic_uses(PLANS, "out"), "g", "replays")


def problems(
    topic: str = "in",
    *,
    settings: dict[str, str] | None = None,
    group: GroupDescription = GROUP,
    replays: GroupDescription = GROUP,
    **changes: Any,
) -> list[Finding]:
    """Return failures and warnings when all is well on three brokers but for one topic, or one group."""
    topics = {plan.name: TOPIC for plan in PLANS}
    topics[topic] = dataclasses.replace(TOPIC, **changes)
    cluster = ClusterDescription(3, topics, {"g": group, "replays": replays})
    all_settings = {plan.name: {"min.insync.replicas": "2", **plan.settings} for plan in PLANS}
    all_settings[topic] |= settings or {}

    return [finding for finding in check().judge(cluster, all_settings) if not finding.ok or finding.fix]


def test_topics_as_planned_give_no_problem() -> None:
    """Topics as planned, on three brokers, give neither failures nor warnings."""
    assert problems() == []


@pytest.mark.parametrize(
    ("changes", "minimum", "ok", "text", "fix"),
    [
        ({"leaderless": 2}, "2", False, "2 of 6 partitions have no leader", "start the brokers"),
        ({"replicas": 1, "in_sync": 1}, "1", True, "is lost with its broker", "reassign-partitions"),
        ({"replicas": 2, "in_sync": 2}, "3", False, "replication factor 2: nothing can be written", "replicas=1"),
        ({"in_sync": 1}, "2", False, "a partition has 1 in sync", "start the brokers"),
        ({}, "3", True, "replication factor 3: nothing can be written while any", "min.insync.replicas=2"),
        ({}, "1", True, "a record that only one broker acknowledged can be lost", "min.insync.replicas=2"),
    ],
)
def test_replicas_are_compared_with_what_a_write_waits_for(
    changes: dict[str, Any], minimum: str, ok: bool, text: str, fix: str
) -> None:
    """A topic that cannot be written is a failure, one whose records can be lost a warning."""
    (finding,) = problems(settings={"min.insync.replicas": minimum}, **changes)

    assert finding.ok is ok
    assert text in finding.text and finding.text.startswith("in: ")
    assert fix in str(finding.fix)


def test_a_single_broker_needs_no_second_replica() -> None:
    """On one broker, one replica is not worth a warning."""
    topics = {plan.name: dataclasses.replace(TOPIC, replicas=1, in_sync=1) for plan in PLANS}
    findings = check().judge(ClusterDescription(1, topics, GROUPS), {plan.name: plan.settings for plan in PLANS})
    assert all(finding.fix is None for finding in findings)


@pytest.mark.parametrize(
    ("topic", "settings", "planned"),
    [
        ("in", {"message.timestamp.type": "CreateTime"}, "message.timestamp.type=LogAppendTime"),
        ("codes", {"cleanup.policy": "compact"}, "cleanup.policy=delete"),
        ("in.dlt", {"retention.ms": "-1", "segment.ms": "604800000"}, "retention.ms=79200000,segment.ms=3600000"),
        ("in.dlt", {"max.message.bytes": "1048588"}, "max.message.bytes=8388608"),
    ],
)
def test_differing_settings_come_with_the_command_that_repairs_them(
    topic: str, settings: dict[str, str], planned: str
) -> None:
    """All differing settings of a topic give one warning with one command."""
    (finding,) = problems(topic, settings=settings)

    assert finding.ok
    assert str(finding.fix) == (
        "kafka-configs.sh --bootstrap-server k:9093 --command-config admin.properties --alter --entity-type topics "
        f"--entity-name {topic} --add-config {planned}"
    )


@pytest.mark.parametrize("settings", [{"retention.ms": "60000"}, {"max.message.bytes": "99999999"}])
def test_better_settings_than_planned_give_no_problem(settings: dict[str, str]) -> None:
    """Dead letters may be deleted earlier than planned, and may be larger."""
    assert problems("in.dlt", settings=settings) == []


def test_inbound_topics_should_have_the_same_number_of_partitions() -> None:
    """The smaller inbound topic gets a warning; other topics may have any number of partitions."""
    (finding,) = problems("codes", partitions=3)

    assert finding.ok
    assert str(finding.fix).endswith("--alter --topic codes --partitions 6")
    assert problems("out", partitions=1) == []


@pytest.mark.parametrize(
    ("topic", "without", "ok", "operations"),
    [
        ("in", {"Read"}, False, "--operation Read --topic in"),
        ("in.dlt", {"Write"}, False, "--operation Write --topic in.dlt"),
        ("out", ALL_RIGHTS - {"Read", "DescribeConfigs"}, False, "--operation Describe --operation Write --topic out"),
        ("codes", {"Write"}, True, "--operation Write --topic codes"),
        ("codes.dlt", {"Read"}, True, "--operation Read --topic codes.dlt"),
        ("out", {"Read"}, None, ""),
    ],
)
def test_a_lacking_right_comes_with_the_command_that_grants_it(
    topic: str, without: set[str], ok: bool | None, operations: str
) -> None:
    """A right that ``run`` requires is a failure, one that other commands need a warning, any other no problem."""
    findings = problems(topic, rights=ALL_RIGHTS - without)

    assert [finding.ok for finding in findings] == ([] if ok is None else [ok])
    for finding in findings:
        assert f"--allow-principal User:worker {operations}" in str(finding.fix)
        assert "hush" not in finding.line()


def test_a_topic_that_we_may_not_see_is_not_called_missing() -> None:
    """Without the right to see a topic, the right is what is reported."""
    findings = problems("in", rights=frozenset(), partitions=0)
    assert {finding.name for finding in findings} == {"Kafka rights"}


@pytest.mark.parametrize(
    ("group", "name", "fix"),
    [
        (GroupDescription(), "Kafka rights", "--operation Read --group g"),
        (dataclasses.replace(GROUP, assignor="cooperative-sticky"), "Kafka group", "SIGNIN_KAFKA__GROUP_ID"),
    ],
)
def test_the_group_must_be_ours_to_join(group: GroupDescription, name: str, fix: str) -> None:
    """A group that we may not join, or whose members assign partitions in another way, is a failure."""
    (finding,) = problems(group=group)

    assert (finding.ok, finding.name) == (False, name)
    assert fix in str(finding.fix)


def test_the_group_of_replays_is_for_dlt_alone() -> None:
    """A lacking right on the group of replays is a warning."""
    (finding,) = problems(replays=GroupDescription())

    assert (finding.ok, finding.text) == (True, "group replays: not allowed to Read. Only dlt needs it.")
    assert "--operation Read --group replays" in str(finding.fix)


@pytest.mark.parametrize(
    ("access", "principal"),
    [
        (KafkaAccess("k:9092"), "User:ANONYMOUS"),
        (KafkaAccess("k:9093", "SSL", certfile="worker.pem"), "User:CN=NAME"),
    ],
)
def test_a_grant_names_our_principal(access: KafkaAccess, principal: str) -> None:
    """Without a login, the principal is anonymous, or the subject of the client certificate."""
    topics = dict.fromkeys((plan.name for plan in PLANS), TOPIC)
    cluster = ClusterDescription(1, topics, GROUPS | {"g": GroupDescription()})
    (fix,) = (finding.fix for finding in check(access).judge(cluster, {}) if not finding.ok)
    assert f"--allow-principal {principal} --operation Read --group g" in str(fix)
