"""The producer that replaces itself after an error, with a double of aiokafka's. Integration tests use the real one."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import aiokafka.errors
import pytest
from aiokafka.errors import KafkaError, KafkaTimeoutError, OutOfOrderSequenceNumber, ProducerFenced
from aiokafka.structs import RecordMetadata, TopicPartition

from activities.errors import PublishUnavailable
from consumers.ports import KafkaUnavailable
from schemas.results import ResultEvent, SignInExpired
from tests.fakes.waiting import until
from utils.kafka import producer as producer_module
from utils.kafka.access import KafkaAccess
from utils.kafka.producer import ReliableProducer
from utils.kafka.writers import KafkaDeadLetterWriter, ResultPublisher

ACCESS = KafkaAccess("127.0.0.1:1")
EVENT = ResultEvent(
    result=SignInExpired(signin_id="rJ3hQ0m1TzC9vWcK8uYbXw", occurred_at=datetime(2026, 11, 23, tzinfo=UTC))
)
SILENCE = object()


class Watch:
    """A stopwatch that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


class Broker:
    """Builds producers that answer as scripted: an error of ``start``, ``send`` or the delivery, or silence."""

    def __init__(self, *deliveries: object, starts: Sequence[object] = (), stops_by_itself: bool = True) -> None:
        self.deliveries = deque(deliveries)
        self.starts = deque(starts)
        self.stops_by_itself = stops_by_itself
        self.built: list[DoubleProducer] = []

    def build(self) -> "DoubleProducer":
        """Build a producer."""
        self.built.append(DoubleProducer(self))
        return self.built[-1]


class DoubleProducer:
    """The part of ``AIOKafkaProducer`` that is used."""

    def __init__(self, broker: Broker) -> None:
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

        future: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()

        if isinstance(delivery, BaseException):
            future.set_exception(delivery)
        elif delivery is not SILENCE:
            future.set_result(RecordMetadata(topic, 0, TopicPartition(topic, 0), 7, -1, 0, 0))
        else:
            self.pending.append(future)

        return future

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


def kafka_errors() -> list[type[Exception]]:
    """Return every error class of aiokafka."""
    found = [value for value in vars(aiokafka.errors).values() if isinstance(value, type)]
    return sorted((each for each in found if issubclass(each, KafkaError)), key=lambda each: each.__name__)


@pytest.mark.parametrize("error", kafka_errors())
async def test_every_error_of_kafka_is_unavailable_and_replaces_the_producer(error: type[Exception]) -> None:
    """Any error raises ``PublishUnavailable``; after any but a timeout, a new producer sends the next record."""
    broker = Broker(error())
    publisher = ResultPublisher(ReliableProducer(ACCESS, factory=broker.build), "results")

    with pytest.raises(PublishUnavailable):
        await publisher.publish(EVENT)

    await publisher.publish(EVENT)

    assert len(broker.built) == (1 if error is KafkaTimeoutError else 2)


async def test_the_producer_that_failed_is_stopped() -> None:
    """``close`` waits until the replaced producer has stopped, so no connection stays open."""
    broker = Broker(OutOfOrderSequenceNumber())
    producer = ReliableProducer(ACCESS, factory=broker.build)

    with pytest.raises(KafkaUnavailable):
        await producer.send("t", b"k", b"v")

    await producer.close()

    assert [built.stopped.is_set() for built in broker.built] == [True]


async def test_calls_that_wait_on_a_failed_producer_fail_at_once() -> None:
    """When one record fails, the pending ones fail with it, and one replacement is enough for all of them."""
    broker = Broker(SILENCE, SILENCE, ProducerFenced())
    producer = ReliableProducer(ACCESS, timeout_s=60, factory=broker.build)
    answers = await asyncio.gather(*(producer.send("t", b"k", b"v") for _ in range(3)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [KafkaUnavailable] * 3
    assert (await producer.send("t", b"k", b"v")).offset == 7
    assert len(broker.built) == 2


async def test_a_producer_that_acknowledges_nothing_is_replaced() -> None:
    """After a timeout without any acknowledgement, a new producer that can connect takes over; pending records fail."""
    replaced: list[int] = []
    broker = Broker(SILENCE)
    producer = ReliableProducer(ACCESS, timeout_s=0.05, factory=broker.build, on_replaced=lambda: replaced.append(1))

    with pytest.raises(KafkaUnavailable, match="no acknowledgement"):
        await producer.send("t", b"k", b"v")

    await until(lambda: broker.built[0].stopped.is_set(), 5)
    await producer.send("t", b"k", b"v")

    assert (len(broker.built), replaced) == (2, [1])
    assert isinstance(broker.built[0].pending[0].exception(), KafkaError)
    await producer.close()


@pytest.mark.parametrize("start", [SILENCE, KafkaError(), ConnectionRefusedError()])
async def test_a_silent_producer_stays_while_no_other_can_connect(start: object) -> None:
    """Kafka is away: the old producer is as good as any, and its records may still arrive."""
    broker = Broker(SILENCE, starts=[None, start])
    producer = ReliableProducer(ACCESS, timeout_s=0.05, factory=broker.build)

    with pytest.raises(KafkaUnavailable):
        await producer.send("t", b"k", b"v")

    await until(lambda: len(broker.built) == 2 and broker.built[1].stopped.is_set(), 5)
    await producer.send("t", b"k", b"v")

    assert [built.stopped.is_set() for built in broker.built] == [False, True]
    broker.built[0].fail_all(KafkaError())
    await producer.close()


async def test_a_timeout_beside_acknowledgements_keeps_the_producer() -> None:
    """One partition without a leader is no reason to fail the records of all others."""
    watch = Watch()
    broker = Broker(SILENCE)
    producer = ReliableProducer(ACCESS, timeout_s=0.05, factory=broker.build, stopwatch=watch)
    stuck = asyncio.ensure_future(producer.send("t", b"k", b"v"))
    await asyncio.sleep(0)
    watch.now_s = 0.04
    await producer.send("t", b"k", b"v")
    watch.now_s = 0.05

    with pytest.raises(KafkaUnavailable, match="no acknowledgement"):
        await stuck

    await producer.send("t", b"k", b"v")

    assert len(broker.built) == 1
    broker.built[0].fail_all(KafkaError())
    await producer.close()


async def test_closing_ends_a_replacement_that_cannot_connect() -> None:
    """``close`` leaves no connection of a half-started producer open."""
    broker = Broker(SILENCE, starts=[None, SILENCE])
    producer = ReliableProducer(ACCESS, timeout_s=0.05, factory=broker.build)
    with pytest.raises(KafkaUnavailable):
        await producer.send("t", b"k", b"v")

    await until(lambda: len(broker.built) == 2, 5)
    broker.built[0].fail_all(KafkaError())
    await producer.close()

    assert [built.stopped.is_set() for built in broker.built] == [True, True]


@pytest.mark.parametrize("start", [SILENCE, KafkaError(), ConnectionRefusedError()])
async def test_a_failed_start_leaves_nothing_open(start: object) -> None:
    """A producer that could not start is closed, and the next call starts a new one."""
    broker = Broker(starts=[start])
    producer = ReliableProducer(ACCESS, timeout_s=0.05, factory=broker.build)

    with pytest.raises(KafkaUnavailable):
        await producer.send("t", b"k", b"v")

    await producer.send("t", b"k", b"v")
    await producer.close()

    assert [built.stopped.is_set() for built in broker.built] == [True, True]


async def test_concurrent_calls_share_one_producer() -> None:
    """A burst of calls starts one producer, and closing twice does no harm."""
    broker = Broker()
    producer = ReliableProducer(ACCESS, factory=broker.build)
    await asyncio.gather(*(producer.send("t", b"k", b"v") for _ in range(20)))

    assert len(broker.built) == 1

    await producer.close()
    await producer.close()


async def test_closing_does_not_wait_for_brokers_that_are_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that cannot be flushed in time are failed."""
    monkeypatch.setattr(producer_module, "_STOP_TIMEOUT_S", 0.05)
    broker = Broker(stops_by_itself=False)
    producer = ReliableProducer(ACCESS, factory=broker.build)

    await producer.send("t", b"k", b"v")
    await producer.close()

    assert broker.built[0].failed.is_set()


async def test_closing_does_not_wait_for_a_producer_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """If failing the pending records does not help either, the connections are closed."""
    monkeypatch.setattr(producer_module, "_STOP_TIMEOUT_S", 0.05)
    monkeypatch.setattr(DoubleProducer, "fail_all", lambda *_: None)
    broker = Broker(stops_by_itself=False)
    producer = ReliableProducer(ACCESS, factory=broker.build)

    await producer.send("t", b"k", b"v")
    await producer.close()

    assert (broker.built[0].stopped.is_set(), broker.built[0].closed) == (False, True)


async def test_a_bug_is_not_mistaken_for_an_outage() -> None:
    """An error that comes neither from Kafka nor from the network is raised unchanged."""
    producer = ReliableProducer(ACCESS, factory=Broker(AssertionError("a bug")).build)
    with pytest.raises(AssertionError):
        await producer.send("t", b"k", b"v")


async def test_a_dead_letter_that_cannot_be_written_is_unavailable() -> None:
    """The writer raises ``KafkaUnavailable``, so the record's offset is not committed."""
    producer = ReliableProducer(ACCESS, factory=Broker(KafkaError()).build)
    with pytest.raises(KafkaUnavailable):
        await KafkaDeadLetterWriter(producer).write("t.dlt", b"k", b"v", [])
