"""What is written to Kafka: results, dead letters, records put back, and events emitted by hand."""

from activities.errors import PublishUnavailable
from consumers.ports import Headers, KafkaUnavailable, Record
from schemas.results import ResultEvent
from utils.kafka.access import KafkaAccess
from utils.kafka.producer import RecordLocation, ReliableProducer


class ResultPublisher:
    """Implements ``Publisher``."""

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
    """Implements ``DeadLetterWriter``.

    The producer must accept records of ``MAX_DEAD_LETTER_BYTES``.
    """

    def __init__(self, producer: ReliableProducer) -> None:
        self._producer = producer

    async def write(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Return once all in-sync replicas have the record. Raises ``KafkaUnavailable``."""
        await self._producer.send(topic, key, value, headers)


class KafkaInboundWriter:
    """Implements ``InboundWriter``.

    The producer must accept records of ``MAX_DEAD_LETTER_BYTES``.
    """

    def __init__(self, producer: ReliableProducer) -> None:
        self._producer = producer

    async def put_back(self, topic: str, partition: int | None, record: Record) -> None:
        """Return once all in-sync replicas have the record.

        Raises ``RecordRefused`` and ``KafkaUnavailable``.
        """
        await self._producer.send(topic, record.key, record.value, record.headers, partition)


async def emit(access: KafkaAccess, topic: str, key: bytes, value: bytes, headers: Headers = ()) -> RecordLocation:
    """Write one record and return its location. Raises ``KafkaUnavailable``."""
    producer = ReliableProducer(access)
    try:
        return await producer.send(topic, key, value, headers)
    finally:
        await producer.close()
