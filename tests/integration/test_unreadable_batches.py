"""Batches that this client can't decode, on a real broker: other partitions, and later records, are not affected."""

import asyncio
import json
from dataclasses import replace

from aiokafka import AIOKafkaProducer

from deploy.local.servers.backends import Kafka
from deploy.local.topics import Topics
from tests.fakes.consumer_bench import QUICK, ComposedConsumer
from tests.fakes.inbound import request_data, signin_id
from tests.fakes.raw_batches import produce, unreadable_batch
from tests.fakes.waiting import until
from utils.kafka.access import KafkaAccess
from utils.kafka.source import KafkaSource

PATIENT = replace(QUICK, poll_ms=50, retry_s=0.05, commit_interval_s=0.1, commit_timeout_s=3, stop_s=5)


async def send_requests(kafka: Kafka, topics: Topics, numbers: range, partition: int) -> None:
    """Produce one request for each number, in batches."""
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, linger_ms=5) as producer:
        values = [json.dumps(request_data(number)).encode() for number in numbers]
        sent = [await producer.send(topics.requested, value, partition=partition) for value in values]
        await asyncio.gather(*sent)


async def test_no_record_is_lost_beside_or_behind_a_batch_that_cannot_be_decoded(kafka: Kafka, topics: Topics) -> None:
    """Every record of the other partition, and every record after the bad batch, is applied exactly once."""
    await produce(kafka.bootstrap_servers, topics.requested, 1, unreadable_batch([b"{}", b"{}", b"{}"]))
    await send_requests(kafka, topics, range(500), partition=0)
    await send_requests(kafka, topics, range(500, 600), partition=1)

    source = KafkaSource(KafkaAccess(kafka.bootstrap_servers), topics.group_id, (topics.requested, topics.submitted))
    bench = ComposedConsumer(source, PATIENT, (topics.requested, topics.submitted))
    async with bench.working():
        await until(lambda: len(set(bench.applied)) == 600, 30)

    assert sorted(bench.applied) == [signin_id(number) for number in range(600)]
