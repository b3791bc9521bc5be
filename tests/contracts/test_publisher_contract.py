"""The contract of ``Publisher``, for the fake and for a real Kafka."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Protocol

import pytest
from aiokafka import AIOKafkaConsumer

from activities.errors import PublishUnavailable
from activities.ports import Publisher
from deploy.local.servers.backends import Kafka
from schemas.results import ResultEvent, SignInExpired, SignInSucceeded
from deploy.local.topics import Topics
from tests.fakes.publisher import FakePublisher
from utils.kafka.access import KafkaAccess
from utils.kafka.producer import ReliableProducer
from utils.kafka.writers import ResultPublisher

SIGNIN_ID = "rJ3hQ0m1TzC9vWcK8uYbXw"
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
EVENTS = (
    ResultEvent(result=SignInExpired(signin_id=SIGNIN_ID, occurred_at=NOW)),
    ResultEvent(result=SignInSucceeded(signin_id=SIGNIN_ID, occurred_at=NOW, submission_id="s" * 16), traceparent="00"),
)


class Stage(Protocol):
    """A publisher, another without Kafka, and the published results."""

    @property
    def publisher(self) -> Publisher:
        """The publisher under test."""
        ...

    @property
    def cut_off(self) -> Publisher:
        """A publisher that cannot reach Kafka."""
        ...

    async def published(self, count: int) -> Sequence[tuple[bytes, bytes]]:
        """Return key and value of the first ``count`` results."""
        ...


class FakeStage:
    """The fake, which has no topic."""

    def __init__(self) -> None:
        self.publisher = FakePublisher()
        self.cut_off = FakePublisher()
        self.cut_off.down = PublishUnavailable

    async def published(self, count: int) -> Sequence[tuple[bytes, bytes]]:
        """Read the fake's results."""
        return [(event.key(), event.value()) for event in self.publisher.published[:count]]


class KafkaStage:
    """The real publisher with a real topic."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self.producers = [
            ReliableProducer(KafkaAccess(bootstrap_servers)),
            ReliableProducer(KafkaAccess("127.0.0.1:1"), timeout_s=1),
        ]
        self.publisher, self.cut_off = (ResultPublisher(producer, topic) for producer in self.producers)

    async def published(self, count: int) -> Sequence[tuple[bytes, bytes]]:
        """Read the topic."""
        servers = self._bootstrap_servers
        async with AIOKafkaConsumer(self._topic, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
            records = [await consumer.getone() for _ in range(count)]
        return [(record.key, record.value) for record in records]


@pytest.fixture(params=["fake", "kafka"])
async def stage(request: pytest.FixtureRequest, kafka: Kafka, topics: Topics) -> AsyncIterator[Stage]:
    """Give each publisher in turn."""
    if request.param == "fake":
        yield FakeStage()
        return

    stage = KafkaStage(kafka.bootstrap_servers, topics.results)
    yield stage
    for producer in stage.producers:
        await producer.close()


async def test_results_are_published_in_order_and_repeats_byte_for_byte(stage: Stage) -> None:
    """When ``publish`` returns, the topic has the result."""
    for event in (*EVENTS, EVENTS[0]):
        await stage.publisher.publish(event)

    wire = [(event.key(), event.value()) for event in EVENTS]
    assert await stage.published(3) == [*wire, wire[0]]


async def test_a_missing_acknowledgement_raises_publish_unavailable(stage: Stage) -> None:
    """The caller is expected to retry."""
    with pytest.raises(PublishUnavailable):
        await stage.cut_off.publish(EVENTS[0])
