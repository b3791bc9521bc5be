"""What is told of topics, rights and the group, and the commands that repair them."""

import dataclasses
from typing import Any

import pytest

from utils.kafka.producers import KafkaAccess
from utils.checks.kafka import KafkaCheck, KafkaView, topic_uses
from utils.kafka.metadata import GroupFacts, KafkaFacts, TopicFacts
from utils.kafka.topics import planned_topics
from utils.cli.terminal import Finding

ALL = frozenset({"Describe", "Read", "Write", "DescribeConfigs"})
PLANS = planned_topics("in", "codes", "out")
USES = topic_uses(PLANS, "out")
ACCESS = KafkaAccess("k:9093", "SASL_SSL", username="worker", password="hush")
FINE = TopicFacts(partitions=6, replicas=3, in_sync=3, rights=ALL)
GROUP = GroupFacts("Stable", "range", 2, ALL)
GROUPS = {"g": GROUP, "replays": GROUP}


def judged(
    topic: str = "in",
    *,
    settings: dict[str, str] | None = None,
    group: GroupFacts = GROUP,
    replays: GroupFacts = GROUP,
    brokers: int = 3,
    **facts: Any,
) -> list[Finding]:
    """Return what is not well when all is well but for one topic, or the group."""
    topics = {plan.name: FINE for plan in PLANS}
    topics[topic] = dataclasses.replace(FINE, **facts)
    known = {plan.name: {"min.insync.replicas": "2", **plan.settings} for plan in PLANS}
    known[topic] |= settings or {}
    view = KafkaView(KafkaFacts(brokers, topics, {"g": group, "replays": replays}), known)

    return [
        finding for finding in KafkaCheck(ACCESS, USES, "g", "replays").findings(view) if not finding.ok or finding.fix
    ]


def test_all_is_well() -> None:
    """As planned on three brokers: four lines, and nothing to do."""
    assert judged() == []


@pytest.mark.parametrize(
    ("facts", "least", "ok", "text", "fix"),
    [
        ({"leaderless": 2}, "2", False, "2 of 6 partitions have no leader", "start the brokers"),
        ({"replicas": 1, "in_sync": 1}, "1", True, "is lost with its broker", "reassign-partitions"),
        ({"replicas": 2, "in_sync": 2}, "3", False, "replication of 2: nothing can be written", "replicas=1"),
        ({"in_sync": 1}, "2", False, "a partition has 1 in sync", "start the brokers"),
        ({}, "3", True, "3 of 3: without any one broker", "min.insync.replicas=2"),
        ({}, "1", True, "what one broker alone has acknowledged can be lost", "min.insync.replicas=2"),
    ],
)
def test_copies(facts: dict[str, Any], least: str, ok: bool, text: str, fix: str) -> None:
    """Replicas against what acks=all waits for: what cannot be written is a failure, what can be lost a warning."""
    (finding,) = judged(settings={"min.insync.replicas": least}, **facts)
    assert finding.ok is ok
    assert text in finding.text and finding.text.startswith("in: ")
    assert fix in str(finding.fix)


def test_one_broker_has_one_replica() -> None:
    """Where there is no second broker, a second replica is not missed."""
    topics = {plan.name: dataclasses.replace(FINE, replicas=1, in_sync=1) for plan in PLANS}
    view = KafkaView(KafkaFacts(1, topics, GROUPS), {plan.name: plan.settings for plan in PLANS})
    assert all(finding.fix is None for finding in KafkaCheck(ACCESS, USES, "g", "replays").findings(view))


@pytest.mark.parametrize(
    ("topic", "settings", "wanted"),
    [
        ("in", {"message.timestamp.type": "CreateTime"}, "message.timestamp.type=LogAppendTime"),
        ("codes", {"cleanup.policy": "compact"}, "cleanup.policy=delete"),
        ("in.dlt", {"retention.ms": "-1", "segment.ms": "604800000"}, "retention.ms=79200000,segment.ms=3600000"),
        ("in.dlt", {"max.message.bytes": "1048588"}, "max.message.bytes=8388608"),
    ],
)
def test_settings_have_the_command_that_repairs_them(topic: str, settings: dict[str, str], wanted: str) -> None:
    """A warning, and one command for all that is wrong with a topic."""
    (finding,) = judged(topic, settings=settings)
    assert finding.ok
    assert str(finding.fix) == (
        "kafka-configs.sh --bootstrap-server k:9093 --command-config admin.properties --alter --entity-type topics "
        f"--entity-name {topic} --add-config {wanted}"
    )


@pytest.mark.parametrize("settings", [{"retention.ms": "60000"}, {"max.message.bytes": "99999999"}])
def test_what_is_better_than_planned_is_fine(settings: dict[str, str]) -> None:
    """Dead letters may be forgotten earlier, and be larger."""
    assert judged("in.dlt", settings=settings) == []


def test_inbound_topics_have_equally_many_partitions() -> None:
    """The smaller one is to grow; other topics may have what they like."""
    (finding,) = judged("codes", partitions=3)
    assert finding.ok
    assert str(finding.fix).endswith("--alter --topic codes --partitions 6")
    assert judged("out", partitions=1) == []


@pytest.mark.parametrize(
    ("topic", "without", "ok", "operations"),
    [
        ("in", {"Read"}, False, "--operation Read --topic in"),
        ("in.dlt", {"Write"}, False, "--operation Write --topic in.dlt"),
        ("out", ALL - {"Read", "DescribeConfigs"}, False, "--operation Describe --operation Write --topic out"),
        ("codes", {"Write"}, True, "--operation Write --topic codes"),
        ("codes.dlt", {"Read"}, True, "--operation Read --topic codes.dlt"),
        ("out", {"Read"}, None, ""),
    ],
)
def test_rights(topic: str, without: set[str], ok: bool | None, operations: str) -> None:
    """What ``run`` needs is a failure where it is missing, what other commands need a warning, the rest is nothing."""
    findings = judged(topic, rights=ALL - without)
    assert [finding.ok for finding in findings] == ([] if ok is None else [ok])
    for finding in findings:
        assert f"--allow-principal User:worker {operations}" in str(finding.fix)
        assert "hush" not in finding.line()


def test_a_topic_that_is_not_for_us_is_not_called_missing() -> None:
    """Without the right to see it nobody knows, so the right is what is told."""
    findings = judged("in", rights=frozenset(), partitions=0)
    assert {finding.name for finding in findings} == {"Kafka rights"}


@pytest.mark.parametrize(
    ("group", "name", "fix"),
    [
        (GroupFacts(), "Kafka rights", "--operation Read --group g"),
        (dataclasses.replace(GROUP, assignor="cooperative-sticky"), "Kafka group", "SIGNIN_KAFKA__GROUP_ID"),
    ],
)
def test_the_group(group: GroupFacts, name: str, fix: str) -> None:
    """It must be ours to join, and shared with nobody who divides partitions otherwise."""
    (finding,) = judged(group=group)
    assert (finding.ok, finding.name) == (False, name)
    assert fix in str(finding.fix)


@pytest.mark.parametrize(
    ("access", "principal"),
    [
        (KafkaAccess("k:9092"), "User:ANONYMOUS"),
        (KafkaAccess("k:9093", "SSL", certfile="worker.pem"), "User:CN=NAME"),
    ],
)
def test_who_we_are_to_the_brokers(access: KafkaAccess, principal: str) -> None:
    """Without a login nobody, or whom the certificate is for."""
    topics = dict.fromkeys((plan.name for plan in PLANS), FINE)
    view = KafkaView(KafkaFacts(1, topics, GROUPS | {"g": GroupFacts()}), {})
    check = KafkaCheck(access, USES, "g", "replays")
    (fix,) = (finding.fix for finding in check.findings(view) if not finding.ok)
    assert f"--allow-principal {principal} --operation Read --group g" in str(fix)


def test_the_group_of_replays() -> None:
    """Only ``dlt`` needs it: a warning."""
    (finding,) = judged(replays=GroupFacts())
    assert (finding.ok, finding.text) == (True, "group replays: no Read, which dlt needs.")
    assert "--operation Read --group replays" in str(finding.fix)
