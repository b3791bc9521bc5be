"""Topics on a real broker that creates a topic for whoever names it: the worker's clients never make it do that."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Sequence

import pytest

from consumers.ports import KafkaUnavailable, Partition
from deploy.local.servers.kafka import LocalKafka
from deploy.local.waiting import eventually
from tests.faults.kafka_admin import KafkaAdmin
from utils.kafka.access import KafkaAccess
from utils.kafka.clients import kafka_admin
from utils.kafka.producer import ReliableProducer
from utils.kafka.source import KafkaSource
from utils.kafka.topics import create_topics, planned_topics

PLANS = planned_topics("in", "codes", "out", partitions=1)


class Assigned:
    """Keeps the partitions assigned last."""

    def __init__(self) -> None:
        self.partitions: Collection[Partition] = ()

    async def on_revoked(self, partitions: Collection[Partition]) -> None:
        """Own nothing."""
        self.partitions = ()

    async def on_assigned(self, partitions: Collection[Partition]) -> None:
        """Own these."""
        self.partitions = partitions


@pytest.fixture
async def access() -> AsyncIterator[KafkaAccess]:
    """Give access to a broker that creates topics when they are named."""
    kafka = LocalKafka(settings={"auto.create.topics.enable": "true"})
    await asyncio.to_thread(kafka.start)
    yield KafkaAccess(kafka.bootstrap_servers)
    await asyncio.to_thread(kafka.stop)


async def existing(access: KafkaAccess) -> Sequence[str]:
    """Return the topics that exist, but for Kafka's own."""
    async with kafka_admin(access) as admin:
        return sorted(name for name in await admin.list_topics() if not name.startswith("__"))


async def test_clients_create_no_topic(access: KafkaAccess) -> None:
    """Neither a consumer that subscribes to missing topics nor a producer that writes to one creates them."""
    source = KafkaSource(access, "g", ["in", "codes"])
    producer = ReliableProducer(access, timeout_s=2)

    with contextlib.suppress(KafkaUnavailable, TimeoutError):
        async with asyncio.timeout(5):
            await source.start(Assigned())
    with contextlib.suppress(KafkaUnavailable):
        await producer.send("in.dlt", b"key", b"value")

    assert await existing(access) == []

    await source.stop()
    await producer.close()


async def test_clients_do_not_create_a_deleted_topic_again(access: KafkaAccess) -> None:
    """Topics are deleted under a consumer and a producer that go on. Once they are back, both use them again."""
    await create_topics(access, PLANS)
    source = KafkaSource(access, "g", ["in", "codes"], metadata_max_age_ms=500)
    producer = ReliableProducer(access, timeout_s=2)
    assigned = Assigned()
    await source.start(assigned)
    await producer.send("out", b"key", b"value")

    admin = KafkaAdmin(access.bootstrap_servers)
    await admin.delete_topic("in")
    await admin.delete_topic("out")

    async def poll_until(partitions: set[Partition]) -> None:
        async def polled() -> bool:
            with contextlib.suppress(KafkaUnavailable):
                await source.poll(100, 10)
            return set(assigned.partitions) == partitions

        await eventually(polled, "partitions are assigned", within_s=30)

    await poll_until({Partition("codes", 0)})
    for _ in range(3):
        with contextlib.suppress(KafkaUnavailable):
            await producer.send("out", b"key", b"value")
        await source.poll(100, 10)

    assert await existing(access) == ["codes", "codes.dlt", "in.dlt"]

    await create_topics(access, PLANS)
    await poll_until({Partition("in", 0), Partition("codes", 0)})
    assert (await producer.send("out", b"key", b"value")).topic == "out"

    await source.stop()
    await producer.close()
