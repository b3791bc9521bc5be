"""The local stack: Kafka, Temporal and the time-skipping server work."""

import asyncio
from datetime import timedelta

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from deploy.local.servers.backends import Kafka
from deploy.local.servers.temporal import LocalTemporal
from deploy.local.topics import Topics


async def test_a_record_is_read_unchanged(kafka: Kafka, topics: Topics) -> None:
    """A consumer group reads key, value and repeated headers as they were sent, with the broker's timestamp."""
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
        assert record.timestamp_type == 1  # LogAppendTime: the broker's timestamp


async def test_the_five_topics_differ(topics: Topics) -> None:
    """All five topics of a test have different names."""
    assert len({topics.requested, topics.submitted, topics.results, *topics.dead_letters}) == 5


async def test_the_namespace_retains_workflows_for_a_day(temporal_client: Client) -> None:
    """The retention of the dev server is not below the default replay horizon, a day."""
    request = DescribeNamespaceRequest(namespace=LocalTemporal.namespace)
    answer = await temporal_client.workflow_service.describe_namespace(request)
    assert answer.config.workflow_execution_retention_ttl.ToTimedelta() >= timedelta(days=1)


async def test_time_can_be_skipped(time_skipping: WorkflowEnvironment) -> None:
    """A day passes at once on the time-skipping server."""
    before = await time_skipping.get_current_time()
    await time_skipping.sleep(timedelta(days=1))
    assert await time_skipping.get_current_time() - before >= timedelta(days=1)
