"""The local stack itself: real answers from Kafka, Temporal and the time-skipping server."""

import asyncio
from datetime import timedelta

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from deploy.local.servers.backends import Kafka
from deploy.local.servers.temporal import LocalTemporal
from deploy.local.topics import Topics


async def test_a_record_comes_back_byte_for_byte(kafka: Kafka, topics: Topics) -> None:
    """An idempotent producer's record arrives at a consumer group with key, value and repeated headers unchanged."""
    headers = [("a", b"\x00\xff"), ("a", b""), ("b", b"1")]
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, enable_idempotence=True) as producer:
        await producer.send_and_wait(topics.requested, b"\xfe value", key=b"key", headers=headers)

    async with AIOKafkaConsumer(
        topics.requested,
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=topics.group_id,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    ) as consumer:
        async with asyncio.timeout(20):
            record = await consumer.getone()

        await consumer.commit()

        assert (record.key, record.value, list(record.headers)) == (b"key", b"\xfe value", headers)
        assert record.timestamp_type == 1  # the broker's stamp


async def test_topics_of_two_tests_differ(topics: Topics) -> None:
    """All five topics have names of their own."""
    assert len({topics.requested, topics.submitted, topics.results, *topics.dead_letters}) == 5


async def test_the_namespace_remembers_for_a_day(temporal_client: Client) -> None:
    """The replay horizon of a day fits the dev server's retention."""
    request = DescribeNamespaceRequest(namespace=LocalTemporal.namespace)
    answer = await temporal_client.workflow_service.describe_namespace(request)
    assert answer.config.workflow_execution_retention_ttl.ToTimedelta() >= timedelta(days=1)


async def test_time_can_be_skipped(time_skipping: WorkflowEnvironment) -> None:
    """A day passes at once on the time-skipping server."""
    before = await time_skipping.get_current_time()
    await time_skipping.sleep(timedelta(days=1))
    assert await time_skipping.get_current_time() - before >= timedelta(days=1)
