"""Creating topics and looking them up, on a real broker."""

import uuid

import pytest

from consumers.ports import KafkaUnavailable
from deploy.local.servers.backends import Kafka
from utils.kafka.access import KafkaAccess
from utils.kafka.topics import create_topics, look_up_topics, planned_topics


@pytest.fixture
def access(kafka: Kafka) -> KafkaAccess:
    """Give access to the broker."""
    return KafkaAccess(kafka.bootstrap_servers)


@pytest.fixture
def run() -> str:
    """Give a suffix that makes names of topics unique."""
    return uuid.uuid4().hex


async def test_topics_are_created_once_and_as_planned(access: KafkaAccess, run: str) -> None:
    """A second call creates nothing and reports no differences."""
    plans = planned_topics(f"in.{run}", f"codes.{run}", f"out.{run}", partitions=3)
    first = await create_topics(access, plans)
    second = await create_topics(access, plans)

    assert [report.created for report in first] == [True] * 5
    assert [(report.created, report.differences) for report in second] == [(False, [])] * 5

    states = await look_up_topics(access, [f"in.{run}", f"in.{run}.dlt", "not there"])

    assert set(states) == {f"in.{run}", f"in.{run}.dlt"}

    inbound = states[f"in.{run}"]
    letters = states[f"in.{run}.dlt"]

    assert inbound.settings is not None and letters.settings is not None
    assert inbound.partitions == 3
    assert inbound.settings["message.timestamp.type"] == "LogAppendTime"
    assert int(letters.settings["retention.ms"]) <= 86_400_000


async def test_an_existing_topic_is_compared_and_not_changed(access: KafkaAccess, run: str) -> None:
    """A topic that differs from its plan is reported with its differences."""
    plain = planned_topics("", "", f"c.{run}", partitions=1)[-1]
    inbound = planned_topics(f"c.{run}", "", "", partitions=2)[0]
    await create_topics(access, [plain])

    [report] = await create_topics(access, [inbound])

    assert report.created is False
    assert len(report.differences) == 2
    assert (await look_up_topics(access, [f"c.{run}"]))[f"c.{run}"].partitions == 1


async def test_a_topic_that_the_broker_refuses_is_an_error(access: KafkaAccess) -> None:
    """The error names a topic whose name is not allowed."""
    with pytest.raises(KafkaUnavailable, match="bad name"):
        await create_topics(access, planned_topics("bad name", "x", "y")[:1])


async def test_a_look_up_without_brokers_is_unavailable() -> None:
    """Looking up topics without brokers raises ``KafkaUnavailable``."""
    with pytest.raises(KafkaUnavailable):
        await look_up_topics(KafkaAccess("127.0.0.1:1"), ["signin.requested"])
