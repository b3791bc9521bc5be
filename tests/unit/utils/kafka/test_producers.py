"""The producer that is built again after an error, with a double of aiokafka's; the real one has integration tests."""

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiokafka.errors
import pytest
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    ConsumerStoppedError,
    KafkaError,
    KafkaTimeoutError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
)
from aiokafka.structs import RecordMetadata, TopicPartition

from activities.errors import PublishUnavailable
from consumers.ports import KafkaUnavailable
from deploy.local.servers.certificates import loopback_certificate
from schemas.results import ResultEvent, SignInExpired
from utils.kafka import producers as kafka
from utils.kafka.producers import KafkaAccess, KafkaDeadLetterWriter, ReliableProducer, ResultPublisher
from utils.kafka.source import SETTINGS, stop_consumer, translated
from utils.kafka.topics import TopicPlan, TopicState, _differences, planned_topics

ACCESS = KafkaAccess("127.0.0.1:1")
EVENT = ResultEvent(
    result=SignInExpired(signin_id="rJ3hQ0m1TzC9vWcK8uYbXw", occurred_at=datetime(2026, 11, 23, tzinfo=UTC))
)
SILENCE = object()


class Broker:
    """Makes producers that answer as scripted: an error of ``start``, of ``send``, of the delivery, or silence."""

    def __init__(self, *deliveries: object, starts: Sequence[object] = (), stops_by_itself: bool = True) -> None:
        self.deliveries = deque(deliveries)
        self.starts = deque(starts)
        self.stops_by_itself = stops_by_itself
        self.made: list[DoubleProducer] = []

    def make(self) -> "DoubleProducer":
        """Make a producer."""
        self.made.append(DoubleProducer(self))
        return self.made[-1]


class DoubleProducer:
    """As much of ``AIOKafkaProducer`` as is used."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._message_accumulator = self
        self.client = self
        self.closed = False
        self.stopped = asyncio.Event()
        self.pending: list[asyncio.Future[RecordMetadata]] = []
        self.failed = asyncio.Event()

    async def start(self) -> None:
        """Connect, or not."""
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
        """Let what is pending fail."""
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
    """Return every error that aiokafka knows."""
    found = [value for value in vars(aiokafka.errors).values() if isinstance(value, type)]
    return sorted((each for each in found if issubclass(each, KafkaError)), key=lambda each: each.__name__)


@pytest.mark.parametrize("error", kafka_errors())
async def test_every_error_of_kafka_is_unavailable_and_heals(error: type[Exception]) -> None:
    """After any of them but a timeout a new producer takes the record."""
    broker = Broker(error())
    publisher = ResultPublisher(ReliableProducer(ACCESS, factory=broker.make), "results")
    with pytest.raises(PublishUnavailable):
        await publisher.publish(EVENT)
    await publisher.publish(EVENT)
    assert len(broker.made) == (1 if error is KafkaTimeoutError else 2)


async def test_the_producer_that_failed_is_stopped() -> None:
    """No connection stays open; closing waits for that."""
    broker = Broker(OutOfOrderSequenceNumber())
    producer = ReliableProducer(ACCESS, factory=broker.make)
    with pytest.raises(KafkaUnavailable):
        await producer.send("t", b"k", b"v")
    await producer.close()
    assert [made.stopped.is_set() for made in broker.made] == [True]


async def test_who_waits_on_the_failed_producer_is_told_at_once() -> None:
    """Its records will never be acknowledged; one replacement is enough for all of them."""
    broker = Broker(SILENCE, SILENCE, ProducerFenced())
    producer = ReliableProducer(ACCESS, timeout_s=60, factory=broker.make)
    answers = await asyncio.gather(*(producer.send("t", b"k", b"v") for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [KafkaUnavailable] * 3
    assert (await producer.send("t", b"k", b"v")).offset == 7
    assert len(broker.made) == 2


async def test_no_acknowledgement_in_time_keeps_the_producer() -> None:
    """It may still arrive; the next record goes the same way, so in order."""
    broker = Broker(SILENCE)
    producer = ReliableProducer(ACCESS, timeout_s=0.05, factory=broker.make)

    with pytest.raises(KafkaUnavailable, match="no acknowledgement"):
        await producer.send("t", b"k", b"v")

    await producer.send("t", b"k", b"v")

    assert len(broker.made) == 1

    broker.made[0].fail_all(KafkaError())
    await producer.close()


@pytest.mark.parametrize("start", [SILENCE, KafkaError(), ConnectionRefusedError()])
async def test_a_start_that_fails_leaves_nothing_open(start: object) -> None:
    """Half a connection is closed, and the next call starts anew."""
    broker = Broker(starts=[start])
    producer = ReliableProducer(ACCESS, timeout_s=0.05, factory=broker.make)
    with pytest.raises(KafkaUnavailable):
        await producer.send("t", b"k", b"v")
    await producer.send("t", b"k", b"v")
    await producer.close()
    assert [made.stopped.is_set() for made in broker.made] == [True, True]


async def test_many_calls_share_one_start() -> None:
    """A burst makes one producer."""
    broker = Broker()
    producer = ReliableProducer(ACCESS, factory=broker.make)
    await asyncio.gather(*(producer.send("t", b"k", b"v") for _ in range(20)))
    assert len(broker.made) == 1
    await producer.close()
    await producer.close()


async def test_closing_does_not_wait_for_brokers_that_are_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be flushed is given up."""
    monkeypatch.setattr(kafka, "_STOP_TIMEOUT_S", 0.05)
    broker = Broker(stops_by_itself=False)
    producer = ReliableProducer(ACCESS, factory=broker.make)
    await producer.send("t", b"k", b"v")
    await producer.close()
    assert broker.made[0].failed.is_set()


async def test_closing_does_not_wait_for_a_producer_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even one that ignores that."""
    monkeypatch.setattr(kafka, "_STOP_TIMEOUT_S", 0.05)
    monkeypatch.setattr(DoubleProducer, "fail_all", lambda *_: None)
    broker = Broker(stops_by_itself=False)
    producer = ReliableProducer(ACCESS, factory=broker.make)
    await producer.send("t", b"k", b"v")
    await producer.close()
    assert (broker.made[0].stopped.is_set(), broker.made[0].closed) == (False, True)


async def test_a_bug_is_not_taken_for_an_outage() -> None:
    """What is no error of Kafka's or the network's is raised as it is."""
    producer = ReliableProducer(ACCESS, factory=Broker(AssertionError("a bug")).make)
    with pytest.raises(AssertionError):
        await producer.send("t", b"k", b"v")


async def test_a_dead_letter_that_is_not_taken_is_unavailable() -> None:
    """Its source offset stays open then."""
    producer = ReliableProducer(ACCESS, factory=Broker(KafkaError()).make)
    with pytest.raises(KafkaUnavailable):
        await KafkaDeadLetterWriter(producer).write("t.dlt", b"k", b"v", [])


def test_access_shows_no_password_and_reads_certificates(tmp_path: Path) -> None:
    """Plain needs no TLS; SSL and SASL_SSL verify the brokers, and may show a certificate."""
    _, cafile = loopback_certificate(tmp_path)
    secret = KafkaAccess("b:9092", "SASL_SSL", "SCRAM-SHA-512", "worker", "a secret", str(cafile))

    assert "a secret" not in repr(secret)

    options = secret.options()

    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("worker", "a secret")

    context = options["ssl_context"]

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert KafkaAccess("b:9092", "SASL_PLAINTEXT").options()["ssl_context"] is None

    with_key = KafkaAccess("b:9092", "SSL", certfile=str(cafile), keyfile=str(tmp_path / "key.pem"))

    assert with_key.options()["ssl_context"] is not None


def test_the_consumers_settings_are_what_the_worker_relies_on() -> None:
    """Manual commits, one assignor, from the beginning, and times that are set on purpose (BRIDGE, rule 12)."""
    assert SETTINGS["enable_auto_commit"] is False
    assert SETTINGS["auto_offset_reset"] == "earliest"
    assert SETTINGS["partition_assignment_strategy"] == (RangePartitionAssignor,)
    assert SETTINGS["rebalance_timeout_ms"] > SETTINGS["session_timeout_ms"] > 2 * SETTINGS["heartbeat_interval_ms"]
    assert SETTINGS["max_poll_interval_ms"] >= SETTINGS["rebalance_timeout_ms"]
    assert not any("deserializer" in name for name in SETTINGS)


def test_dead_letters_are_gone_after_a_day() -> None:
    """Retention plus the time that a segment stays open are below 24 h; inbound records get the broker's stamp."""
    plans = {plan.name: plan for plan in planned_topics("a", "b", "c", partitions=4)}
    assert set(plans) == {"a", "b", "a.dlt", "b.dlt", "c"}
    for name in ("a.dlt", "b.dlt"):
        settings = plans[name].settings
        assert int(settings["retention.ms"]) + int(settings["segment.ms"]) < 86_400_000
    assert {plans[name].settings["message.timestamp.type"] for name in ("a", "b")} == {"LogAppendTime"}
    assert {plan.partitions for plan in plans.values()} == {4}


@pytest.mark.parametrize(
    ("retention", "differs"), [("1000", False), ("2000", False), ("3000", True), ("-1", True), (None, True)]
)
def test_a_shorter_retention_is_as_planned(retention: str | None, differs: bool) -> None:
    """A longer one, or none at all, is a difference."""
    settings = {} if retention is None else {"retention.ms": retention}
    found = _differences(TopicPlan("t", 1, {"retention.ms": "2000"}), TopicState(1, settings))
    assert bool(found) is differs


class Leaky:
    """A consumer whose ``stop`` raises the cancellation of its own tasks, as aiokafka's does with the brokers away."""

    def __init__(self) -> None:
        self._client = self
        self.closed = False

    async def stop(self) -> None:
        """Give up half-way."""
        raise asyncio.CancelledError

    async def close(self) -> None:
        """Close the connections."""
        self.closed = True


async def test_a_consumer_that_stops_half_way_is_closed_and_cancels_nobody() -> None:
    """Its cancellation is not ours: shutting down goes on."""
    consumer = Leaky()
    await stop_consumer(consumer)
    assert consumer.closed


async def test_slowness_and_errors_of_kafka_are_one_error() -> None:
    """Whatever happens in a call, the loop gets ``KafkaUnavailable``."""
    with pytest.raises(KafkaUnavailable, match="no answer"):
        async with translated(0.01):
            await asyncio.Event().wait()
    for error in (KafkaError(), ConnectionResetError(), ConsumerStoppedError()):
        with pytest.raises(KafkaUnavailable, match=type(error).__name__):
            async with translated(None):
                raise error
