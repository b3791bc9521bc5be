"""The check of rights, against a real broker that enforces them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from deploy.local.servers.kafka import AUTHORISING, LocalKafka
from deploy.local.waiting import eventually
from tests.faults.kafka_admin import KafkaAdmin
from utils.kafka.access import KafkaAccess
from utils.checks.kafka import KafkaCheck, topic_uses
from utils.kafka.topics import TopicState, create_topics, look_up_topics, planned_topics

PLANS = planned_topics("in", "codes", "out", partitions=1)
USES = topic_uses(PLANS, "out")


@pytest.fixture
async def access() -> AsyncIterator[KafkaAccess]:
    """Give access to a broker that enforces rights and has the planned topics."""
    kafka = LocalKafka(settings=AUTHORISING)
    await asyncio.to_thread(kafka.start)
    access = KafkaAccess(kafka.bootstrap_servers)
    await create_topics(access, PLANS)
    yield access
    await asyncio.to_thread(kafka.stop)


async def test_each_missing_right_is_reported(access: KafkaAccess) -> None:
    """First all rights are granted. Then one topic may only be seen, one not even that, and the group not be joined."""
    check = KafkaCheck(access, USES, "g", "replays")

    async def lines() -> list[str]:
        return [each.line() for each in await check.run()]

    async def all_is_well() -> bool:
        return all(line.startswith("ok ") for line in await lines())

    await eventually(all_is_well, "topics and group known", within_s=20)

    admin = KafkaAdmin(access.bootstrap_servers)
    await admin.allow_only_describe("in", "g")
    await admin.forbid_writing("out")

    async def problems() -> list[str] | None:
        found = [line for line in await lines() if not line.startswith("ok ")]
        return found if len(found) >= 5 else None

    found = await eventually(problems, "rights taken", within_s=20)

    assert [line.partition(" Fix: ")[0] for line in found] == [
        "FAIL Kafka rights: in: not allowed to Read.",
        "warn Kafka rights: in: not allowed to Write or DescribeConfigs. run does not need it, other commands do.",
        "FAIL Kafka rights: out: not allowed to Describe or Write.",
        "warn Kafka rights: out: not allowed to DescribeConfigs. run does not need it, other commands do.",
        "FAIL Kafka rights: group g: not allowed to Read.",
    ]


async def test_a_topic_whose_settings_may_not_be_seen_is_looked_up(access: KafkaAccess) -> None:
    """Its partitions are known. A topic that may not be seen at all looks like one that does not exist."""
    admin = KafkaAdmin(access.bootstrap_servers)
    await admin.allow_only_describe("in", "g")
    await admin.forbid_writing("out")

    async def as_allowed() -> bool:
        return await look_up_topics(access, ["in", "out"]) == {"in": TopicState(1, None)}

    await eventually(as_allowed, "rights taken", within_s=20)
