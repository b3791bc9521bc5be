"""Batches that this client can't decode, on a real broker: other partitions, and later records, are not affected."""

import asyncio
import json

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from consumers.ports import DeadLetterWriter
from deploy.local.servers.backends import Kafka
from deploy.local.topics import Topics
from tests.fakes.consumer_bench import ON_A_BROKER, ComposedConsumer
from tests.fakes.inbound import request_data, signin_id
from tests.fakes.raw_batches import GZIP, batch, partly_readable_batch, produce, unreadable_batch
from tests.fakes.waiting import until
from tests.faults.evidence import read_topic
from utils.kafka.access import KafkaAccess
from utils.kafka.producer import MAX_DEAD_LETTER_BYTES, ReliableProducer
from utils.kafka.source import KafkaSource
from utils.kafka.writers import KafkaDeadLetterWriter


async def send_requests(kafka: Kafka, topics: Topics, numbers: range, partition: int) -> None:
    """Produce one request for each number, in batches."""
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, linger_ms=5) as producer:
        values = [json.dumps(request_data(number)).encode() for number in numbers]
        sent = [await producer.send(topics.requested, value, partition=partition) for value in values]
        await asyncio.gather(*sent)


async def create_topics(kafka: Kafka, topics: Topics, codec: str) -> None:
    """Create the inbound topics, with a codec that brokers compress everything with."""
    new = [NewTopic(name, 1, 1, topic_configs={"compression.type": codec}) for name in topics.inbound]
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()

    try:
        await admin.create_topics(new)
    finally:
        await admin.close()


def consumer(kafka: Kafka, topics: Topics, writer: DeadLetterWriter | None = None) -> ComposedConsumer:
    """Return a consumer of these topics with a gateway in memory."""
    source = KafkaSource(KafkaAccess(kafka.bootstrap_servers), topics.group_id, topics.inbound)
    return ComposedConsumer(source, ON_A_BROKER, topics.inbound, writer)


async def test_no_record_is_lost_beside_or_behind_a_batch_that_cannot_be_decoded(kafka: Kafka, topics: Topics) -> None:
    """Every record of the other partition, and every record after the bad batch, is applied exactly once."""
    await produce(kafka.bootstrap_servers, topics.requested, 1, unreadable_batch([b"{}", b"{}", b"{}"]))
    await send_requests(kafka, topics, range(500), partition=0)
    await send_requests(kafka, topics, range(500, 600), partition=1)

    bench = consumer(kafka, topics)
    async with bench.working():
        await until(lambda: len(set(bench.applied)) == 600, 30)

    assert sorted(bench.applied) == [signin_id(number) for number in range(600)]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_a_topic_that_imposes_a_codec_is_read(kafka: Kafka, codec: str) -> None:
    """The broker compresses what an emitter sends uncompressed, as ``compression.type`` of the topic says."""
    topics = Topics.fresh(codec)
    await create_topics(kafka, topics, codec)
    await send_requests(kafka, topics, range(50), partition=0)

    bench = consumer(kafka, topics)
    async with bench.working():
        await until(lambda: len(bench.applied) == 50, 30)

    assert bench.writer.written == []


async def test_a_large_value_that_travels_small_stops_no_partition(kafka: Kafka, topics: Topics) -> None:
    """Of 9 MiB, the dead letter holds the digest; 20 MiB are not decompressed. The next record is applied."""
    for megabytes in (9, 20):
        data = batch([b"x" * (megabytes << 20)], compression=GZIP)
        assert len(data) < 64 * 1024
        await produce(kafka.bootstrap_servers, topics.requested, 0, data)

    await send_requests(kafka, topics, range(1), partition=0)

    access = KafkaAccess(kafka.bootstrap_servers)
    producer = ReliableProducer(access, max_request_bytes=MAX_DEAD_LETTER_BYTES)
    bench = consumer(kafka, topics, KafkaDeadLetterWriter(producer))
    async with bench.working():
        await until(lambda: bench.applied == [signin_id(0)], 30)

    await producer.close()
    letters = await read_topic(kafka.bootstrap_servers, topics.dead_letters[0])
    headers = {dict(letter.headers)["dlt-error"]: dict(letter.headers) for letter in letters}
    assert headers.keys() == {b"too_large", b"unreadable"}
    assert headers[b"too_large"]["dlt-value-size"] == str(9 << 20).encode()


async def test_the_readable_beginning_of_a_batch_is_applied_and_the_rest_is_a_dead_letter(
    kafka: Kafka, topics: Topics
) -> None:
    """No record of the batch is passed over in silence, and the next batch is applied."""
    values = [json.dumps(request_data(number)).encode() for number in range(3)]
    await produce(kafka.bootstrap_servers, topics.requested, 0, partly_readable_batch(values[:1], values[1:]))
    await send_requests(kafka, topics, range(10, 11), partition=0)

    bench = consumer(kafka, topics)
    async with bench.working():
        await until(lambda: len(bench.applied) == 2 and bench.writer.written, 30)

    assert bench.applied == [signin_id(0), signin_id(10)]
    (letter,) = bench.writer.written
    assert (dict(letter.headers)["dlt-offset"], dict(letter.headers)["dlt-last-offset"]) == (b"1", b"2")
