"""The local stack's cluster of three brokers behaves as one in production."""

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.places import StackError
from deploy.local.servers.kafka import LocalKafka

_TOPIC = "replicated"
_REFUSED_FOR_S = 2


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalKafka]:
    """Give three brokers."""
    cluster = LocalKafka(brokers=3)
    cluster.start()
    yield cluster
    cluster.stop()


async def test_a_write_needs_two_of_three_brokers(cluster: LocalKafka) -> None:
    """With one broker killed, writes go on. With two killed they wait, and are kept once the brokers are back."""
    await _create_topic(cluster)
    producer = AIOKafkaProducer(bootstrap_servers=cluster.bootstrap_servers, acks="all")
    await producer.start()
    first, second, _ = cluster.nodes

    try:
        await asyncio.to_thread(first.kill)
        await producer.send_and_wait(_TOPIC, b"with two", partition=0)

        await asyncio.to_thread(second.kill)
        waiting = await producer.send(_TOPIC, b"with one", partition=0)
        done, _ = await asyncio.wait([waiting], timeout=_REFUSED_FOR_S)
        assert not done, "one broker of three took a write"

        await asyncio.to_thread(cluster.start_again)
        await asyncio.to_thread(cluster.wait_until_in_sync)
        await waiting
    finally:
        await producer.stop()

    assert await _values(cluster) == [b"with two", b"with one"]


async def test_a_frozen_broker_is_out_of_sync(cluster: LocalKafka) -> None:
    """A frozen broker keeps its port open. The cluster is in sync again after it was thawed."""
    (frozen, *_) = cluster.nodes
    await asyncio.to_thread(frozen.freeze)
    with pytest.raises(StackError, match="replicas was not ready"):
        await asyncio.to_thread(cluster.wait_until_in_sync, 1)

    await asyncio.to_thread(frozen.thaw)
    await asyncio.to_thread(cluster.wait_until_in_sync)


async def _create_topic(cluster: LocalKafka) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(_TOPIC, 1, 3)])
    await admin.close()


async def _values(cluster: LocalKafka) -> list[bytes | None]:
    partition = TopicPartition(_TOPIC, 0)
    async with AIOKafkaConsumer(bootstrap_servers=cluster.bootstrap_servers, auto_offset_reset="earliest") as reader:
        reader.assign([partition])
        (end,) = (await reader.end_offsets([partition])).values()
        async with asyncio.timeout(20):
            return [(await reader.getone(partition)).value for _ in range(end)]
