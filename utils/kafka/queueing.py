"""Puts records into a producer's queue, and gives up the waiting for it once the producer is given up."""

import asyncio
from typing import Any

from aiokafka.errors import KafkaError

from consumers.ports import Headers


class Queueing:
    """Records on their way into the queue of some producer.

    Before a record is queued, aiokafka waits for the topic's metadata. That wait never ends if the client is closed
    meanwhile, and failing what is queued does not reach it.
    """

    def __init__(self) -> None:
        self._waits: dict[asyncio.Timeout, Any] = {}

    async def put(
        self,
        producer: Any,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        partition: int | None,
    ) -> asyncio.Future[Any]:
        """Add the record to the producer's queue. Raises ``KafkaError``, also if the producer is given up before.

        The future is done once the brokers acknowledge it.
        """
        wait = asyncio.timeout(None)
        self._waits[wait] = producer
        try:
            async with wait:
                return await _enqueue(producer, topic, key, value, headers, partition)
        except TimeoutError:
            if not wait.expired():
                raise
            raise KafkaError("the producer was given up before the record was queued") from None
        finally:
            del self._waits[wait]

    def give_up(self, producer: Any) -> None:
        """Fail all records that wait for a place in this producer's queue."""
        now = asyncio.get_running_loop().time()
        for wait, awaited in self._waits.items():
            if awaited is producer:
                wait.reschedule(now)


async def _enqueue(
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
