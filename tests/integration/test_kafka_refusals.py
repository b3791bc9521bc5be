"""Rights taken from a running consumer, on a real broker that enforces them, and given back."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest

from deploy.local.servers.kafka import AUTHORISING, LocalKafka
from deploy.local.topics import Topics
from deploy.local.waiting import eventually
from tests.fakes.consumer_bench import ON_A_BROKER, ComposedConsumer
from tests.fakes.inbound import request_data, signin_id, submission_data
from tests.fakes.waiting import until
from tests.faults.kafka_admin import KafkaAdmin
from utils.kafka.access import KafkaAccess
from utils.kafka.refusals import Refusals
from utils.kafka.source import KafkaSource
from utils.kafka.topics import create_topics, planned_topics
from utils.kafka.writers import emit

WATCHFUL = replace(ON_A_BROKER, stall_s=2.0, retry_s=0.2)
LONGER_THAN_TWO_STALLS_S = 7.0


@pytest.fixture(scope="module")
def broker() -> Iterator[LocalKafka]:
    """Give a broker that enforces rights."""
    kafka = LocalKafka(settings=AUTHORISING)
    kafka.start()
    yield kafka
    kafka.stop()


@pytest.fixture
def access(broker: LocalKafka) -> KafkaAccess:
    """Give access to the broker."""
    return KafkaAccess(broker.bootstrap_servers)


@pytest.fixture
async def topics(access: KafkaAccess) -> Topics:
    """Give topics that exist, and a group, of this test alone."""
    topics = Topics.fresh("refused")
    await create_topics(access, planned_topics(topics.requested, topics.submitted, topics.results, partitions=1))
    return topics


async def request(access: KafkaAccess, topics: Topics, number: int) -> None:
    """Emit a request."""
    await emit(access, topics.requested, b"key", json.dumps(request_data(number)).encode())


async def submit(access: KafkaAccess, topics: Topics, number: int) -> None:
    """Emit a submission."""
    await emit(access, topics.submitted, b"key", json.dumps(submission_data(number)).encode())


async def _revoke(
    access: KafkaAccess,
    topics: Topics,
    forbid: Callable[[], Awaitable[None]],
    allow: Callable[[], Awaitable[None]],
    reason: str,
    meanwhile: Callable[[ComposedConsumer], bool] = lambda consumer: True,
) -> None:
    """Take a right away for longer than two stalls, and give it back."""
    source = KafkaSource(access, topics.group_id, topics.inbound, refusals=Refusals(hold_s=3))
    consumer = ComposedConsumer(source, WATCHFUL, topics.inbound)

    async with consumer.working() as run:
        await request(access, topics, 1)
        await until(lambda: consumer.applied == [signin_id(1)], 20)

        await forbid()
        await request(access, topics, 2)
        for number in range(3):
            await submit(access, topics, number)

        async def refused() -> bool:
            assert not run.done(), run.exception()
            return reason in (consumer.loop.refusal or "")

        await eventually(refused, "the refusal is known", within_s=20)
        await asyncio.wait({run}, timeout=LONGER_THAN_TWO_STALLS_S)
        assert not run.done(), run.exception()
        assert reason in (consumer.loop.refusal or "")
        assert meanwhile(consumer)

        await allow()
        await until(lambda: consumer.applied == [signin_id(1), signin_id(2)], 40)
        await until(lambda: consumer.loop.refusal is None and consumer.loop.is_well, 20)
        assert consumer.metrics.rebuilds == 0


async def test_a_consumer_waits_for_its_right_to_read_a_topic(access: KafkaAccess, topics: Topics) -> None:
    """Without it the consumer neither stalls nor ends, and reads the other topic. With it, it goes on by itself."""
    admin = KafkaAdmin(access.bootstrap_servers)
    await _revoke(
        access,
        topics,
        lambda: admin.forbid_reading(topics.requested),
        lambda: admin.allow_reading(topics.requested),
        "TopicAuthorizationFailedError",
        lambda consumer: len(consumer.gateway.submissions) == 3,
    )


async def test_a_consumer_waits_for_its_right_to_be_in_its_group(access: KafkaAccess, topics: Topics) -> None:
    """Without it the consumer neither stalls nor ends. With it, it joins again by itself."""
    admin = KafkaAdmin(access.bootstrap_servers)
    await _revoke(
        access,
        topics,
        lambda: admin.forbid_group(topics.group_id),
        lambda: admin.allow_group(topics.group_id),
        "GroupAuthorizationFailedError",
    )
