"""Puts records into a producer's queue, and gives up the waiting for it once the producer is given up."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from aiokafka.errors import KafkaError

from consumers.ports import Headers


class QueueWaits:
    """Waits for a place in the queue of a producer.

    Before a record is queued, aiokafka waits for the topic's metadata. That wait never ends if the client is closed
    meanwhile, and failing what is queued does not reach it.
    """

    def __init__(self) -> None:
        self._waits: dict[asyncio.Timeout, Any] = {}

    async def wait(self, producer: Any, queued: Awaitable[asyncio.Future[Any]]) -> asyncio.Future[Any]:
        """Return what ``queued`` does. Raises ``KafkaError`` if the producer is given up before."""
        wait = asyncio.timeout(None)
        self._waits[wait] = producer
        try:
            async with wait:
                return await queued
        except TimeoutError:
            if not wait.expired():
                raise
            raise KafkaError("the producer was given up before the record was queued") from None
        finally:
            del self._waits[wait]

    def give_up(self, producer: Any) -> None:
        """Fail all waits for this producer's queue."""
        now = asyncio.get_running_loop().time()
        for wait, awaited in self._waits.items():
            if awaited is producer:
                wait.reschedule(now)


async def enqueue(
    producer: Any,
    topic: str,
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
    partition: int | None,
) -> asyncio.Future[Any]:
    """Add the record to the producer's queue.

    The future is done once the brokers acknowledge it.
    """
    if partition is not None and partition not in await producer.partitions_for(topic):
        partition = None

    if key is None and value is None:
        return await _enqueue_without_content(producer, topic, headers, partition)

    acknowledgement: asyncio.Future[Any]
    acknowledgement = await producer.send(topic, value, key=key, headers=list(headers), partition=partition)
    return acknowledgement


async def _enqueue_without_content(
    producer: Any, topic: str, headers: Headers, partition: int | None
) -> asyncio.Future[Any]:
    """Send a batch of one record: aiokafka's ``send`` refuses a record without key and value, such as a dead letter."""
    batch = producer.create_batch()
    batch.append(timestamp=None, key=None, value=None, headers=list(headers))
    batch.close()

    if partition is None:
        partition = min(await producer.partitions_for(topic))

    acknowledgement: asyncio.Future[Any] = await producer.send_batch(batch, topic, partition=partition)
    return acknowledgement
