"""A Kafka producer that replaces itself after an error, or when nothing it sends is acknowledged any more."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from consumers.ports import Headers, KafkaUnavailable, RecordRefused, Stopwatch
from utils.kafka.access import KafkaAccess
from utils.kafka.clients import stopped_cleanly
from utils.kafka.deliveries import DeliveryRecord
from utils.kafka.error_table import translate
from utils.kafka.queueing import QueueWaits, enqueue

logger = logging.getLogger(__name__)

MAX_DEAD_LETTER_BYTES: Final = 8 * 1024 * 1024
"""Above any record that a broker accepts by default, plus the headers we add."""

MAX_RESULT_BYTES: Final = 1024 * 1024
_TIMEOUT_S: Final = 10.0
_STOP_TIMEOUT_S: Final = 5.0
_LINGER_MS: Final = 2
_METADATA_MAX_AGE_MS: Final = 60_000

_ABOUT_THE_RECORD: Final = (MessageSizeTooLargeError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError)
"""Raised before a record is queued, these concern nothing but the record and its topic."""


class RecordLocation(NamedTuple):
    """Where a record was written."""

    topic: str
    partition: int
    offset: int


ProducerFactory = Callable[[], Any]
"""Builds an ``AIOKafkaProducer``, or its double in a test."""


class ReliableProducer:
    """An idempotent producer with acks=all that is replaced when it can no longer deliver.

    * After an error: a batch that the broker answers with an error leaves a gap in the
      producer's sequence, so all later batches are out of order for ever. A sender task that
      died accepts nothing more either. A record that is refused before it is queued leaves no
      gap, and fails alone.
    * After a timeout, if nothing was acknowledged for half as long again and a new producer can
      connect: aiokafka never asks the bootstrap servers again, so a producer whose brokers
      have all moved would wait for ever (docs/adr/0021). While Kafka is away no new producer
      can connect, and the old one stays.

    When the producer is replaced, calls that still wait for the old one fail at once, and can
    be repeated with the new one.
    """

    def __init__(
        self,
        access: KafkaAccess,
        *,
        timeout_s: float = _TIMEOUT_S,
        max_request_bytes: int = MAX_RESULT_BYTES,
        factory: ProducerFactory | None = None,
        on_replaced: Callable[[], None] = lambda: None,
        stopwatch: Stopwatch = time.monotonic,
    ) -> None:
        self._access = access
        self._timeout_s = timeout_s
        self._max_request_bytes = max_request_bytes
        self._factory = factory or self._build
        self._on_replaced = on_replaced
        self._producer: Any = None
        self._starting = asyncio.Lock()
        self._replacing: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._record = DeliveryRecord(timeout_s, stopwatch)
        self._queue_waits = QueueWaits()

    @property
    def delivers(self) -> bool:
        """Whether records are acknowledged, as far as is known: false once all have failed for ``timeout_s``."""
        return self._record.delivers

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> RecordLocation:
        """Return once all in-sync replicas have the record. Raises ``KafkaUnavailable`` within ``timeout_s``.

        Raises ``RecordRefused`` if the record is too large. The record goes to
        ``partition`` if the topic has it, otherwise its key decides. After a timeout the
        record may still arrive, because batches of an idempotent producer never expire.
        """
        producer = None
        acknowledgement: asyncio.Future[Any] | None = None

        try:
            async with asyncio.timeout(self._timeout_s):
                producer = await self._started()
                queued = enqueue(producer, topic, key, value, headers, partition)
                acknowledgement = await self._queue_waits.wait(producer, queued)
                acknowledgement.add_done_callback(self._note)
                metadata = await asyncio.shield(acknowledgement)
        except (TimeoutError, KafkaTimeoutError):  # aiokafka raises the latter when its buffer is full
            self._record.failure()
            self._replace_if_silent(producer)
            raise KafkaUnavailable(f"no acknowledgement of {topic} within {self._timeout_s:g} s") from None
        except (KafkaError, OSError) as error:
            if acknowledgement is not None or not isinstance(error, _ABOUT_THE_RECORD):
                self._retire(producer)
            raise self._refusal(error, topic) from None
        except KafkaUnavailable:  # there are no usable credentials to build a producer with
            self._record.failure()
            raise

        return RecordLocation(metadata.topic, metadata.partition, metadata.offset)

    async def close(self) -> None:
        """Flush pending records for a few seconds at most, then close."""
        if self._replacing is not None:
            self._replacing.cancel()
            await asyncio.wait({self._replacing})

        producer = self._producer
        self._producer = None
        if producer is not None:
            self._queue_waits.give_up(producer)
            await _stop(producer)

        await asyncio.gather(*self._retiring)

    async def _started(self) -> Any:
        async with self._starting:
            if self._producer is None:
                self._producer = await self._start()

            return self._producer

    async def _start(self) -> Any:
        producer = self._factory()
        try:
            await producer.start()
        except BaseException:  # a timeout cancels: half a connection must not stay open then either
            self._stop_in_background(producer)
            raise

        self._record.begin()
        return producer

    def _note(self, acknowledgement: asyncio.Future[Any]) -> None:
        """Note a delivery, also one that nobody waits for any more.

        An error must be looked at, or asyncio complains.
        """
        if not acknowledgement.cancelled() and acknowledgement.exception() is None:
            self._record.success()

    def _replace_if_silent(self, producer: Any) -> None:
        is_current = producer is not None and producer is self._producer
        is_replacing = self._replacing is not None and not self._replacing.done()
        if is_current and not is_replacing and self._record.is_silent:
            self._replacing = asyncio.get_running_loop().create_task(self._replace(producer))

    async def _replace(self, silent: Any) -> None:
        """Replace a silent producer, if another can connect. If not, Kafka is away, and the old one is as good."""
        try:
            async with asyncio.timeout(self._timeout_s):
                replacement = await self._start()
        except (TimeoutError, KafkaError, KafkaUnavailable, OSError):
            return

        if silent is not self._producer:
            return self._stop_in_background(replacement)

        logger.warning("a producer is replaced, because nothing it sends is acknowledged, although Kafka answers")
        self._retire(silent)
        self._producer = replacement

    def _retire(self, producer: Any) -> None:
        """Have the next call build a new producer, unless another call's error has done so already."""
        if producer is not None and producer is self._producer:
            self._producer = None
            self._on_replaced()
            self._queue_waits.give_up(producer)
            _fail_pending(producer, "the producer is replaced")
            self._stop_in_background(producer)

    def _refusal(self, error: Exception, topic: str) -> KafkaUnavailable:
        logger.warning("Kafka did not accept a record", extra={"topic": topic, "error": type(error).__name__})
        refusal = translate(error)
        if not isinstance(refusal, RecordRefused):
            self._record.failure()

        return refusal

    def _stop_in_background(self, producer: Any) -> None:
        task = asyncio.get_running_loop().create_task(_stop(producer))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _build(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._access.options(),
            acks="all",
            enable_idempotence=True,
            linger_ms=_LINGER_MS,
            max_request_size=self._max_request_bytes,
            request_timeout_ms=int(self._timeout_s * 1000),
            metadata_max_age_ms=_METADATA_MAX_AGE_MS,
        )
        self._access.follow(producer.client)
        return producer


async def _stop(producer: Any) -> None:
    """Stop within a few seconds.

    With the brokers away a flush never ends, so pending records are failed first.
    """
    stopping = asyncio.ensure_future(producer.stop())
    done, _ = await asyncio.wait({stopping}, timeout=_STOP_TIMEOUT_S)
    if not done:
        _fail_pending(producer, "the producer is closed")

    if not await stopped_cleanly(stopping, _STOP_TIMEOUT_S):
        closing = asyncio.ensure_future(producer.client.close())
        await stopped_cleanly(closing, _STOP_TIMEOUT_S)


def _fail_pending(producer: Any, reason: str) -> None:
    """Fail all records not yet acknowledged. aiokafka has no public call for it; its own sender dies like this."""
    producer._message_accumulator.fail_all(KafkaError(reason))
