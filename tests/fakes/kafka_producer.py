"""A double of aiokafka's producer, and a broker whose answers a test scripts."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaTimeoutError
from aiokafka.structs import RecordMetadata, TopicPartition

SILENCE = object()


@dataclass(frozen=True)
class AtOnce:
    """An error that ``send`` raises instead of queuing the record."""

    error: Exception


class WithoutMetadata:
    """The topic's partitions are never known: ``send`` waits for them, and so does not queue the record."""


class Watch:
    """A stopwatch that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


class ScriptedBroker:
    """Builds producers that answer as scripted: an error of ``start``, ``send`` or the delivery, or silence."""

    def __init__(self, *deliveries: object, starts: Sequence[object] = (), stops_by_itself: bool = True) -> None:
        self.deliveries = deque(deliveries)
        self.starts = deque(starts)
        self.stops_by_itself = stops_by_itself
        self.built: list[ProducerDouble] = []

    def build(self) -> "ProducerDouble":
        """Build a producer."""
        self.built.append(ProducerDouble(self))
        return self.built[-1]


class ProducerDouble:
    """The part of ``AIOKafkaProducer`` that is used."""

    def __init__(self, broker: ScriptedBroker) -> None:
        self._broker = broker
        self._message_accumulator = self
        self.client = self
        self.closed = False
        self.stopped = asyncio.Event()
        self.pending: list[asyncio.Future[RecordMetadata]] = []
        self.failed = asyncio.Event()

    async def start(self) -> None:
        """Connect, fail, or hang."""
        answer = self._broker.starts.popleft() if self._broker.starts else None
        if answer is SILENCE:
            await asyncio.Event().wait()
        if isinstance(answer, BaseException):
            raise answer

    async def send(
        self, topic: str, value: bytes, *, key: bytes, headers: Iterable[Any], partition: int | None
    ) -> asyncio.Future[Any]:
        """Queue a record."""
        delivery = self._broker.deliveries.popleft() if self._broker.deliveries else None
        if isinstance(delivery, KafkaTimeoutError | AssertionError):
            raise delivery
        if isinstance(delivery, AtOnce):
            raise delivery.error
        if isinstance(delivery, WithoutMetadata):
            await asyncio.Event().wait()

        future: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()

        if isinstance(delivery, BaseException):
            future.set_exception(delivery)
        elif delivery is not SILENCE:
            future.set_result(_written_to(topic))
        else:
            self.pending.append(future)

        return future

    def acknowledge(self) -> None:
        """Acknowledge all pending records."""
        for future in self.pending:
            if not future.done():
                future.set_result(_written_to("t"))

    def fail_all(self, error: Exception) -> None:
        """Fail all pending records."""
        self.failed.set()
        for future in self.pending:
            if not future.done():
                future.set_exception(error)

    async def close(self) -> None:
        """Close the connections."""
        self.closed = True

    async def stop(self) -> None:
        """Flush and close."""
        if self.pending or not self._broker.stops_by_itself:
            await self.failed.wait()
        self.stopped.set()


def _written_to(topic: str) -> RecordMetadata:
    return RecordMetadata(topic, 0, TopicPartition(topic, 0), 7, -1, 0, 0)
