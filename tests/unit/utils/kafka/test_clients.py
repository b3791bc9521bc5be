"""What becomes of aiokafka's errors, and of a consumer that cannot stop."""

import asyncio

import pytest
from aiokafka.errors import ConsumerStoppedError, KafkaError

from consumers.ports import KafkaUnavailable
from utils.kafka.clients import kafka_call, stop_consumer


class LeakyConsumer:
    """A consumer whose ``stop`` raises the cancellation of its own tasks, as aiokafka's does with the brokers away."""

    def __init__(self) -> None:
        self._client = self
        self.closed = False

    async def stop(self) -> None:
        """Fail half-way."""
        raise asyncio.CancelledError

    async def close(self) -> None:
        """Close the connections."""
        self.closed = True


async def test_a_consumer_that_fails_to_stop_is_closed_and_cancels_nobody() -> None:
    """The consumer's own cancellation does not reach the caller, and its connections are closed."""
    consumer = LeakyConsumer()
    await stop_consumer(consumer)
    assert consumer.closed


async def test_a_slow_call_is_unavailable() -> None:
    """A call that takes too long raises ``KafkaUnavailable``."""
    with pytest.raises(KafkaUnavailable, match="no answer within 0.01 s"):
        async with kafka_call(0.01):
            await asyncio.Event().wait()


@pytest.mark.parametrize("error", [KafkaError(), ConnectionResetError(), ConsumerStoppedError()])
async def test_an_error_of_kafka_is_unavailable(error: Exception) -> None:
    """Errors of aiokafka and of the network are raised as ``KafkaUnavailable``, by the name of their class."""
    with pytest.raises(KafkaUnavailable, match=type(error).__name__):
        async with kafka_call(None):
            raise error


async def test_a_connection_that_times_out_is_unavailable() -> None:
    """A timeout of the network is told apart from ours by its text alone."""
    with pytest.raises(KafkaUnavailable, match="no answer in time"):
        async with kafka_call(None):
            raise TimeoutError
