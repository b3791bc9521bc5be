"""Lag and age against a real broker: they are right also where nothing is read."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer

from consumers.polling.limits import ConsumerLimits
from consumers.metrics import PartitionPosition
from consumers.ports import Partition
from deploy.local.servers.backends import Kafka
from deploy.local.topics import Topics
from schemas.status import PartitionLag
from tests.fakes.consumer_bench import ON_A_BROKER, ComposedConsumer
from tests.fakes.inbound import request_data
from tests.fakes.waiting import until
from utils.kafka.access import KafkaAccess
from utils.kafka.lag import partition_lags
from utils.kafka.source import KafkaSource

STALL_S = 2.0


class Scene:
    """A consumer that reads both topics, and the first partition of requests."""

    def __init__(self, kafka: Kafka, topics: Topics) -> None:
        self._access = KafkaAccess(kafka.bootstrap_servers)
        self._topics = topics
        self._partition = Partition(topics.requested, 0)

    def consumer(self, limits: ConsumerLimits = ON_A_BROKER) -> ComposedConsumer:
        """Return a consumer that does not run yet."""
        source = KafkaSource(self._access, self._topics.group_id, self._topics.inbound)
        return ComposedConsumer(source, limits, (self._topics.requested, self._topics.submitted))

    @asynccontextmanager
    async def producer(self, transactional: bool = False) -> AsyncIterator[AIOKafkaProducer]:
        """Give a producer."""
        name = uuid.uuid4().hex if transactional else None
        async with AIOKafkaProducer(
            bootstrap_servers=self._access.bootstrap_servers, transactional_id=name
        ) as producer:
            yield producer

    async def send(self, producer: AIOKafkaProducer, *numbers: int) -> None:
        """Send requests."""
        for number in numbers:
            value = json.dumps(request_data(number)).encode()
            await producer.send_and_wait(self._topics.requested, value, partition=self._partition.number)

    async def send_poison(self, producer: AIOKafkaProducer, count: int) -> None:
        """Send records that become dead letters, to another partition."""
        for _ in range(count):
            await producer.send_and_wait(self._topics.requested, b"poison", partition=1)

    def position(self, consumer: ComposedConsumer) -> PartitionPosition | None:
        """Return how far the partition is."""
        return next((each for each in consumer.loop.positions() if each.partition == self._partition), None)

    def lag(self, consumer: ComposedConsumer) -> int | None:
        """Return the lag of the partition."""
        position = self.position(consumer)
        return None if position is None else position.lag

    def committed(self, consumer: ComposedConsumer) -> int | None:
        """Return the committed offset of the partition."""
        position = self.position(consumer)
        return None if position is None else position.committed

    async def lags(self) -> list[PartitionLag]:
        """Return what ``signin-worker status`` shows."""
        return await partition_lags(self._access, self._topics.group_id, self._topics.inbound)

    def age_s(self, consumer: ComposedConsumer) -> float:
        """Return the age of the partition's first record that is not done."""
        position = self.position(consumer)
        return (position and position.oldest_unfinished_age_s) or 0.0


@pytest.fixture
def scene(kafka: Kafka, topics: Topics) -> Scene:
    """Give a consumer's surroundings."""
    return Scene(kafka, topics)


async def test_an_open_transaction_counts_as_lag_and_is_no_stall(scene: Scene) -> None:
    """Its records and those behind it are lag, and their age grows. Nothing is rebuilt, though nothing can be read."""
    consumer = scene.consumer(replace(ON_A_BROKER, stall_s=STALL_S))
    async with scene.producer() as producer, scene.producer(transactional=True) as hanging, consumer.working():
        await scene.send(producer, 0)
        await until(lambda: scene.committed(consumer) == 1, 30)

        await hanging.begin_transaction()
        await scene.send(hanging, 1, 2, 3)
        await scene.send(producer, 4, 5)
        await until(lambda: scene.lag(consumer) == 5, 30)
        [lag] = [each for each in await scene.lags() if each.lag]

        assert (lag.lag, lag.behind_open_transaction) == (5, 5)
        assert lag.oldest is not None

        await until(lambda: scene.age_s(consumer) > 2 * STALL_S, 20)
        position = scene.position(consumer)

        assert position is not None
        assert position.open_transaction_s > STALL_S
        assert consumer.metrics.rebuilds == 0

        await hanging.commit_transaction()
        await until(lambda: len(consumer.applied) == 6, 30)
        await until(lambda: scene.lag(consumer) == 0, 30)


async def test_an_unread_backlog_has_a_lag_and_an_age(scene: Scene) -> None:
    """A breaker stops intake. What arrives from then on is not read, and still counts."""
    consumer = scene.consumer()
    async with scene.producer() as producer, consumer.working():
        await scene.send_poison(producer, 6)
        await until(lambda: consumer.loop.halted and consumer.owned == consumer.paused, 30)
        await until(lambda: scene.lag(consumer) == 0, 30)

        await scene.send(producer, 1, 2)
        await until(lambda: scene.lag(consumer) == 2, 30)
        await until(lambda: scene.age_s(consumer) > 1, 30)

        assert consumer.applied == []
