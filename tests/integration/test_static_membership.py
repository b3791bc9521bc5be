"""Why the worker has no ``group.instance.id``: what goes wrong with one, on a real broker (docs/adr/0026)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from deploy.local.servers.backends import Kafka
from deploy.local.topics import Topics
from tests.fakes.waiting import until
from utils.kafka.source import SETTINGS

_FOUND_WITHIN_S = 10
_PARTITIONS = 2


class Member:
    """A member of the group with an instance id and the worker's settings."""

    def __init__(self, kafka: Kafka, topic: str, instance_id: str) -> None:
        options = {**SETTINGS, "metadata_max_age_ms": 1_000}
        self.consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=kafka.bootstrap_servers,
            group_id=f"{topic}-group",
            group_instance_id=instance_id,
            **options,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Member"]:
        """Poll until the block ends. The member never leaves: static members do not."""
        await self.consumer.start()
        polling = asyncio.create_task(self._poll())
        try:
            yield self
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)
            await self.consumer.stop()

    @property
    def generation(self) -> int:
        """The generation of the group that the member knows."""
        generation: int = self.consumer._coordinator.generation
        return generation

    async def _poll(self) -> None:
        while True:
            await self.consumer.getmany(timeout_ms=100)


@pytest.fixture
async def admin(kafka: Kafka) -> AsyncIterator[Any]:
    """Give a connected admin client."""
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
async def topic(admin: Any) -> str:
    """Create a topic of its own."""
    name = Topics.fresh("static").requested
    await admin.create_topics([NewTopic(name, _PARTITIONS, 1)])
    return name


async def test_a_leader_that_returns_finds_no_new_partitions(kafka: Kafka, topic: str, admin: Any) -> None:
    """The restart costs no rebalance. But from then on the group has a leader that is gone."""
    async with Member(kafka, topic, "one").running() as member:
        await until(lambda: len(member.consumer.assignment()) == _PARTITIONS, 30)
        generation = member.generation

    async with Member(kafka, topic, "one").running() as member:
        await until(lambda: len(member.consumer.assignment()) == _PARTITIONS, 30)

        assert member.generation == generation

        await admin.create_partitions({topic: NewPartitions(2 * _PARTITIONS)})
        with pytest.raises(TimeoutError):
            await until(lambda: len(member.consumer.assignment()) > _PARTITIONS, _FOUND_WITHIN_S)


async def test_two_members_with_one_id_throw_each_other_out(kafka: Kafka, topic: str) -> None:
    """The first one is not fenced: it comes back, and the second one has to."""
    async with Member(kafka, topic, "one").running() as first:
        known = first.consumer._coordinator.member_id
        async with Member(kafka, topic, "one").running() as second:
            also_known = second.consumer._coordinator.member_id
            await until(lambda: first.consumer._coordinator.member_id != known, 30)
            await until(lambda: second.consumer._coordinator.member_id != also_known, 30)
