"""The ids of topics, from brokers that answer, that are too old, and that do not answer."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError, NodeNotReadyError

from consumers.ports import KafkaUnavailable
from utils.kafka.access import KafkaAccess
from utils.kafka.partition_logs import read_topic_ids
from utils.kafka.source import KafkaSource

REFUSED = 29


class Answer:
    """Metadata of two topics, of which one may not be described."""

    topics = ((0, "in", b"id", False), (REFUSED, "secret", b"", False))


class Client:
    """A client of one broker, or of none. ``error``: what the broker's answer is instead."""

    def __init__(self, error: Exception | None = None, *, node: int | None = 1, silent: bool = False) -> None:
        self.error = error
        self.node = node
        self.silent = silent

    def get_random_node(self) -> int | None:
        """Return the broker."""
        return self.node

    async def send(self, node: int, request: Any, *, group: Any) -> Any:
        """Return the metadata, raise, or hang."""
        if self.silent:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return Answer


async def test_a_topic_has_its_id_if_it_may_be_described() -> None:
    """Another has none, and is read without."""
    assert await read_topic_ids(Client(), ["in", "secret"]) == {"in": b"id"}


@pytest.mark.parametrize("error", [IncompatibleBrokerVersion(), NotImplementedError()])
async def test_an_old_broker_knows_no_ids(error: Exception) -> None:
    """It is read as before there were any."""
    assert await read_topic_ids(Client(error), ["in"]) == {}


@pytest.mark.parametrize("client", [Client(node=None), Client(KafkaConnectionError()), Client(silent=True)])
async def test_a_broker_that_does_not_answer_is_given_up_soon(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read until some broker has answered: its topic could be another one by then."""
    monkeypatch.setattr("utils.kafka.source._SHORT_TIMEOUT_S", 0.01)
    source = KafkaSource(KafkaAccess("b:9092"), "group", ["in"])
    source._started = type("Consumer", (), {"_client": client})

    with pytest.raises(KafkaUnavailable):
        await source.topic_ids()


async def test_no_broker_is_an_error_of_kafka() -> None:
    """As with any other question to it."""
    with pytest.raises(NodeNotReadyError):
        await read_topic_ids(Client(node=None), ["in"])
