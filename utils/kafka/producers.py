"""Kafka, outgoing: how to get in, the results topic, dead letters, and events that a person emits by hand."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, RecordListTooLargeError

from activities.errors import PublishUnavailable
from consumers.ports import Headers, KafkaUnavailable, Record, RecordRefused
from schemas.results import ResultEvent

logger = logging.getLogger(__name__)

CLIENT_ID: Final = "signin-worker"
TIMEOUT_S: Final = 10.0
LARGEST_DEAD_LETTER: Final = 8 * 1024 * 1024
"""Bytes. Above any record that a broker takes by default, plus the headers we add."""

_LARGEST_RESULT = 1024 * 1024
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_LINGER_MS = 2
_STOP_TIMEOUT_S = 5.0


class Place(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True)
class KafkaAccess:
    """Where the brokers are and how to get in. ``cafile``: trusted instead of the system's store (PEM)."""

    bootstrap_servers: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments that every client of aiokafka takes. Reads the certificates."""
        return {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": CLIENT_ID,
            "security_protocol": self.security_protocol,
            "ssl_context": self._ssl_context(),
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
        }

    def _ssl_context(self) -> ssl.SSLContext | None:
        if not self.security_protocol.endswith("SSL"):
            return None
        context = ssl.create_default_context(cafile=self.cafile)
        if self.certfile is not None:
            context.load_cert_chain(self.certfile, self.keyfile)
        return context


ProducerFactory = Callable[[], Any]
"""Makes an ``AIOKafkaProducer``, or a double of it in a test."""


class ReliableProducer:
    """A producer with acks=all and idempotence that is built again after an error.

    A broker that answers an error to one batch has a gap in the producer's sequence: everything after it is out of
    order for ever. And a sender that died takes nothing more. So after any error but a timeout the producer is
    replaced; who still waits on the old one gets the error at once and tries again with the new one.
    """

    def __init__(
        self,
        access: KafkaAccess,
        *,
        timeout_s: float = TIMEOUT_S,
        largest: int = _LARGEST_RESULT,
        factory: ProducerFactory | None = None,
    ) -> None:
        self._access = access
        self._timeout_s = timeout_s
        self._largest = largest
        self._factory = factory or self._build
        self._producer: Any = None
        self._starting = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> Place:
        """Return once all in-sync replicas have the record. Raises ``KafkaUnavailable`` within ``timeout_s``.

        ``RecordRefused`` if it is too large. It goes to ``partition`` if the topic has it, else where its key belongs.
        After a timeout the record may arrive all the same: batches of an idempotent producer never expire.
        """
        producer = None
        try:
            async with asyncio.timeout(self._timeout_s):
                producer = await self._started()
                acknowledged = await _enqueue(producer, topic, key, value, headers, partition)
                acknowledged.add_done_callback(_look_at_error)
                metadata = await asyncio.shield(acknowledged)
        except (TimeoutError, KafkaTimeoutError):  # the latter: its buffer is full
            raise KafkaUnavailable(f"no acknowledgement within {self._timeout_s:g} s") from None
        except (KafkaError, OSError) as error:
            self._retire(producer)
            logger.warning("Kafka did not take a record", extra={"topic": topic, "error": type(error).__name__})
            kind = RecordRefused if isinstance(error, _TOO_LARGE) else KafkaUnavailable
            raise kind(type(error).__name__) from None
        return Place(metadata.topic, metadata.partition, metadata.offset)

    async def close(self) -> None:
        """Flush what is pending, for a few seconds at most, and close."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)
        await asyncio.gather(*self._retiring)

    async def _started(self) -> Any:
        async with self._starting:
            if self._producer is None:
                producer = self._factory()
                try:
                    await producer.start()
                except BaseException:  # also when the time is up: half a connection must not stay open
                    self._in_background(producer)
                    raise
                self._producer = producer
            return self._producer

    def _retire(self, producer: Any) -> None:
        """Replace the producer at the next call, unless another call's error has done so already."""
        if producer is not None and producer is self._producer:
            self._producer = None
            _fail_all(producer, "the producer is replaced")
            self._in_background(producer)

    def _in_background(self, producer: Any) -> None:
        task = asyncio.get_running_loop().create_task(_stop(producer))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _build(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._access.options(),
            acks="all",
            enable_idempotence=True,
            linger_ms=_LINGER_MS,
            max_request_size=self._largest,
            request_timeout_ms=int(self._timeout_s * 1000),
            metadata_max_age_ms=60_000,
        )


class ResultPublisher:
    """Fulfils ``Publisher``."""

    def __init__(self, producer: ReliableProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def publish(self, event: ResultEvent) -> None:
        """Return once all in-sync replicas have the record. Raises ``PublishUnavailable``."""
        try:
            await self._producer.send(self._topic, event.key(), event.value(), event.headers())
        except KafkaUnavailable:
            raise PublishUnavailable from None


class KafkaDeadLetterWriter:
    """Fulfils ``DeadLetterWriter``. Its producer takes records up to ``LARGEST_DEAD_LETTER`` bytes."""

    def __init__(self, producer: ReliableProducer) -> None:
        self._producer = producer

    async def write(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Return once all in-sync replicas have the record. Raises ``KafkaUnavailable``."""
        await self._producer.send(topic, key, value, headers)


class KafkaInbound:
    """Fulfils ``InboundWriter``. Its producer takes records up to ``LARGEST_DEAD_LETTER`` bytes."""

    def __init__(self, producer: ReliableProducer) -> None:
        self._producer = producer

    async def put_back(self, topic: str, partition: int | None, record: Record) -> None:
        """Return once all in-sync replicas have it. Raises ``RecordRefused`` and ``KafkaUnavailable``."""
        await self._producer.send(topic, record.key, record.value, record.headers, partition)


async def emit(access: KafkaAccess, topic: str, key: bytes, value: bytes, headers: Headers = ()) -> Place:
    """Write one record and return where it lies. Raises ``KafkaUnavailable``."""
    producer = ReliableProducer(access)
    try:
        return await producer.send(topic, key, value, headers)
    finally:
        await producer.close()


async def _enqueue(
    producer: Any, topic: str, key: bytes | None, value: bytes | None, headers: Headers, partition: int | None
) -> asyncio.Future[Any]:
    """Return what is done once the record is acknowledged."""
    if partition is not None and partition not in await producer.partitions_for(topic):
        partition = None
    if key is not None or value is not None:
        future: asyncio.Future[Any] = await producer.send(
            topic, value, key=key, headers=list(headers), partition=partition
        )
        return future
    # aiokafka's send refuses a record with neither; a dead letter may be one. A batch of its own is not refused.
    batch = producer.create_batch()
    batch.append(timestamp=None, key=None, value=None, headers=list(headers))
    batch.close()
    if partition is None:
        partition = min(await producer.partitions_for(topic))
    future = await producer.send_batch(batch, topic, partition=partition)
    return future


async def _stop(producer: Any) -> None:
    """Stop within a few seconds: with the brokers away, a flush never ends, so then nothing is left to flush."""
    stopping = asyncio.ensure_future(producer.stop())
    done, _ = await asyncio.wait({stopping}, timeout=_STOP_TIMEOUT_S)
    if not done:
        _fail_all(producer, "the producer is closed")
    if not await ended(stopping, _STOP_TIMEOUT_S):
        await ended(asyncio.ensure_future(producer.client.close()), _STOP_TIMEOUT_S)


async def ended(stopping: asyncio.Future[None], timeout_s: float) -> bool:
    """Wait for a client of aiokafka to stop; return false if it did not, or not cleanly.

    It is watched from outside: with the brokers away, ``stop`` may never end, or raise the cancellation of its own
    tasks, which would be taken for ours.
    """
    done, _ = await asyncio.wait({stopping}, timeout=timeout_s)
    if not done:
        stopping.cancel()
        await asyncio.wait({stopping}, timeout=timeout_s)
    return stopping.done() and not stopping.cancelled() and stopping.exception() is None


def _fail_all(producer: Any, why: str) -> None:
    """Let every record fail that is not acknowledged. aiokafka has no public way; its own sender dies like this."""
    producer._message_accumulator.fail_all(KafkaError(why))


def _look_at_error(future: asyncio.Future[Any]) -> None:
    """Take the error of a record that nobody waits for any more, so that asyncio does not complain."""
    if not future.cancelled():
        future.exception()
