"""A topic that is deleted and created again under a running consumer, on a real broker."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from deploy.local.servers.backends import Kafka
from deploy.local.topics import Topics
from deploy.local.waiting import eventually, run_in_thread
from tests.fakes.consumer_bench import ON_A_BROKER, ComposedConsumer
from tests.fakes.inbound import request_data, signin_id
from tests.fakes.waiting import until
from utils.kafka.access import KafkaAccess
from utils.kafka.source import KafkaSource

OLD = range(20)


@asynccontextmanager
async def admin(kafka: Kafka) -> AsyncIterator[Any]:
    """Give a connected admin client."""
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def recreate(kafka: Kafka, topic: str, numbers: range) -> None:
    """Delete the topic and create it again, with two partitions and new requests."""
    async with admin(kafka) as client:
        await client.delete_topics([topic])

        async def created() -> bool:
            answer = await client.create_topics([NewTopic(topic, 2, 1)])
            (_, code, *_) = answer.topic_errors[0]
            if for_code(code) is TopicAlreadyExistsError:
                return False
            assert not code, for_code(code)
            return True

        await eventually(created, "the topic is made again", within_s=30)

    await send(kafka, topic, numbers)


async def send(kafka: Kafka, topic: str, numbers: range) -> None:
    """Send requests to the first partition."""
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, linger_ms=5) as producer:
        values = [json.dumps(request_data(number)).encode() for number in numbers]
        sent = [await producer.send(topic, value, partition=0) for value in values]
        await asyncio.gather(*sent)


@pytest.mark.parametrize("count", [5, 50], ids=["shorter than the old one", "longer than the old one"])
async def test_every_record_of_a_topic_made_again_is_handled(kafka: Kafka, topics: Topics, count: int) -> None:
    """The new log begins at 0, whatever was committed of the old one."""
    source = KafkaSource(KafkaAccess(kafka.bootstrap_servers), topics.group_id, topics.inbound)
    consumer = ComposedConsumer(source, ON_A_BROKER, topics.inbound)
    await send(kafka, topics.requested, OLD)

    async with consumer.working():
        await until(lambda: len(consumer.applied) == len(OLD), 30)
        await until(lambda: any(each.committed == each.end == len(OLD) for each in consumer.loop.positions()), 30)

        new = range(100, 100 + count)
        run_in_thread(
            recreate(kafka, topics.requested, new)
        )  # the consumer stands still meanwhile, and has no rebalance
        await until(lambda: {signin_id(number) for number in new} <= set(consumer.applied), 20)
        await until(lambda: any(each.committed == each.end == count for each in consumer.loop.positions()), 30)

        assert consumer.metrics.replaced_logs[topics.requested] > 0
