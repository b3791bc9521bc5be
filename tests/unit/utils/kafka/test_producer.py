"""The producer that replaces itself after an error, with a double of aiokafka's. Integration tests use the real one."""

import asyncio
from datetime import UTC, datetime

import aiokafka.errors
import pytest
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from activities.errors import PublishUnavailable
from consumers.ports import KafkaUnavailable, RecordRefused
from schemas.results import ResultEvent, SignInExpired
from tests.fakes.kafka_producer import SILENCE, AtOnce, ProducerDouble, ScriptedBroker, Watch, WithoutMetadata
from tests.fakes.waiting import until
from utils.kafka import producer as producer_module
from utils.kafka.access import KafkaAccess
from utils.kafka.producer import ReliableProducer
from utils.kafka.writers import KafkaDeadLetterWriter, ResultPublisher

_TIMEOUT_S = 0.3  # silence must last as long, and a busy machine must not take as long over what succeeds
ACCESS = KafkaAccess("127.0.0.1:1")
EVENT = ResultEvent(
    result=SignInExpired(signin_id="rJ3hQ0m1TzC9vWcK8uYbXw", occurred_at=datetime(2026, 11, 23, tzinfo=UTC))
)


def kafka_errors() -> list[type[Exception]]:
    """Return every error class of aiokafka."""
    found = [value for value in vars(aiokafka.errors).values() if isinstance(value, type)]
    return sorted((each for each in found if issubclass(each, KafkaError)), key=lambda each: each.__name__)


@pytest.mark.parametrize("error", kafka_errors())
async def test_every_error_of_kafka_is_unavailable_and_replaces_the_producer(error: type[Exception]) -> None:
    """Any error raises ``PublishUnavailable``; after any but a timeout, a new producer sends the next record."""
    broker = ScriptedBroker(error())
    publisher = ResultPublisher(ReliableProducer(ACCESS, factory=broker.build), "results")

    with pytest.raises(PublishUnavailable):
        await publisher.publish(EVENT)

    await publisher.publish(EVENT)

    assert len(broker.built) == (1 if error is KafkaTimeoutError else 2)


async def test_the_producer_that_failed_is_stopped() -> None:
    """``close`` waits until the replaced producer has stopped, so no connection stays open."""
    broker = ScriptedBroker(OutOfOrderSequenceNumber())
    producer = ReliableProducer(ACCESS, factory=broker.build)

    with pytest.raises(KafkaUnavailable):
        await producer.send("t", b"k", b"v")

    await producer.close()

    assert [built.stopped.is_set() for built in broker.built] == [True]


async def test_calls_that_wait_on_a_failed_producer_fail_at_once() -> None:
    """When one record fails, the pending ones fail with it, and one replacement is enough for all of them."""
    broker = ScriptedBroker(SILENCE, SILENCE, ProducerFenced())
    producer = ReliableProducer(ACCESS, timeout_s=60, factory=broker.build)
    answers = await asyncio.gather(*(producer.send("t", b"k", b"v") for _ in range(3)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [KafkaUnavailable] * 3
    assert (await producer.send("t", b"k", b"v")).offset == 7
    assert len(broker.built) == 2


async def test_calls_that_wait_for_metadata_of_a_failed_producer_fail_at_once() -> None:
    """Nothing of theirs is queued yet, and a client that is closed never answers who waits for its metadata."""
    broker = ScriptedBroker(WithoutMetadata(), ProducerFenced())
    producer = ReliableProducer(ACCESS, timeout_s=60, factory=broker.build)
    waiting = asyncio.ensure_future(producer.send("t", b"k", b"v"))
    await asyncio.sleep(0)

    with pytest.raises(KafkaUnavailable):
        await producer.send("t", b"k", b"v")
    async with asyncio.timeout(5):
        with pytest.raises(KafkaUnavailable):
            await waiting

    assert (await producer.send("t", b"k", b"v")).offset == 7
    assert len(broker.built) == 2


async def test_closing_ends_calls_that_wait_for_metadata() -> None:
    """They would wait for the metadata of a client that is closed."""
    broker = ScriptedBroker(WithoutMetadata())
    producer = ReliableProducer(ACCESS, timeout_s=60, factory=broker.build)
    waiting = asyncio.ensure_future(producer.send("t", b"k", b"v"))
    await asyncio.sleep(0)

    await producer.close()
    async with asyncio.timeout(5):
        with pytest.raises(KafkaUnavailable):
            await waiting


@pytest.mark.parametrize(
    "error", [MessageSizeTooLargeError(), UnknownTopicOrPartitionError(), TopicAuthorizationFailedError()]
)
async def test_a_record_that_is_refused_before_it_is_queued_fails_alone(error: KafkaError) -> None:
    """Its size or its topic says nothing about the other records, and it left no gap in the sequence."""
    broker = ScriptedBroker(SILENCE, AtOnce(error))
    producer = ReliableProducer(ACCESS, factory=broker.build)
    neighbour = asyncio.ensure_future(producer.send("t", b"k", b"v"))
    await asyncio.sleep(0)

    with pytest.raises(KafkaUnavailable) as raised:
        await producer.send("t", b"k", b"v")

    broker.built[0].acknowledge()

    assert isinstance(raised.value, RecordRefused) == isinstance(error, MessageSizeTooLargeError)
    assert (await neighbour).offset == 7
    assert len(broker.built) == 1
    await producer.close()


async def test_a_producer_that_queues_nothing_any_more_is_replaced() -> None:
    """Its sender has died: it raises the sender's error at once, for every record."""
    broker = ScriptedBroker(AtOnce(KafkaError("Unexpected error during batch delivery")))
    producer = ReliableProducer(ACCESS, factory=broker.build)

    with pytest.raises(KafkaUnavailable):
        await producer.send("t", b"k", b"v")

    await producer.send("t", b"k", b"v")

    assert len(broker.built) == 2
    await producer.close()


async def test_a_producer_that_acknowledges_nothing_is_replaced() -> None:
    """After two timeouts in a row, a new producer that can connect takes over, and pending records fail."""
    replaced: list[int] = []
    broker = ScriptedBroker(SILENCE, SILENCE)
    producer = ReliableProducer(
        ACCESS, timeout_s=_TIMEOUT_S, factory=broker.build, on_replaced=lambda: replaced.append(1)
    )

    for _ in range(2):
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
    broker = ScriptedBroker(SILENCE, SILENCE, starts=[None, start])
    producer = ReliableProducer(ACCESS, timeout_s=_TIMEOUT_S, factory=broker.build)

    for _ in range(2):
        with pytest.raises(KafkaUnavailable, match="no acknowledgement"):
            await producer.send("t", b"k", b"v")

    await until(lambda: len(broker.built) == 2 and broker.built[1].stopped.is_set(), 5)
    await producer.send("t", b"k", b"v")

    assert [built.stopped.is_set() for built in broker.built] == [False, True]
    broker.built[0].fail_all(KafkaError())
    await producer.close()


async def test_one_timeout_keeps_the_producer() -> None:
    """A single record may time out for a reason of its own, such as a topic that is missing."""
    broker = ScriptedBroker(SILENCE)
    producer = ReliableProducer(ACCESS, timeout_s=_TIMEOUT_S, factory=broker.build)
    with pytest.raises(KafkaUnavailable, match="no acknowledgement of t within 0.3 s"):
        await producer.send("t", b"k", b"v")

    await producer.send("t", b"k", b"v")

    assert len(broker.built) == 1
    broker.built[0].fail_all(KafkaError())
    await producer.close()


async def test_a_timeout_beside_acknowledgements_keeps_the_producer() -> None:
    """One partition without a leader is no reason to fail the records of all others."""
    watch = Watch()
    broker = ScriptedBroker(SILENCE)
    producer = ReliableProducer(ACCESS, timeout_s=0.05, factory=broker.build, stopwatch=watch)
    stuck = asyncio.ensure_future(producer.send("t", b"k", b"v"))
    await asyncio.sleep(0)
    watch.now_s = 0.04
    await producer.send("t", b"k", b"v")
    watch.now_s = 0.1

    with pytest.raises(KafkaUnavailable, match="no acknowledgement"):
        await stuck

    await producer.send("t", b"k", b"v")

    assert len(broker.built) == 1
    broker.built[0].fail_all(KafkaError())
    await producer.close()


async def test_closing_ends_a_replacement_that_cannot_connect() -> None:
    """``close`` leaves no connection of a half-started producer open."""
    broker = ScriptedBroker(SILENCE, SILENCE, starts=[None, SILENCE])
    producer = ReliableProducer(ACCESS, timeout_s=_TIMEOUT_S, factory=broker.build)
    for _ in range(2):
        with pytest.raises(KafkaUnavailable, match="no acknowledgement"):
            await producer.send("t", b"k", b"v")

    await until(lambda: len(broker.built) == 2, 5)
    broker.built[0].fail_all(KafkaError())
    await producer.close()

    assert [built.stopped.is_set() for built in broker.built] == [True, True]


@pytest.mark.parametrize("start", [SILENCE, KafkaError(), ConnectionRefusedError()])
async def test_a_failed_start_leaves_nothing_open(start: object) -> None:
    """A producer that could not start is closed, and the next call starts a new one."""
    broker = ScriptedBroker(starts=[start])
    producer = ReliableProducer(ACCESS, timeout_s=_TIMEOUT_S, factory=broker.build)

    with pytest.raises(KafkaUnavailable):
        await producer.send("t", b"k", b"v")

    await producer.send("t", b"k", b"v")
    await producer.close()

    assert [built.stopped.is_set() for built in broker.built] == [True, True]


async def test_concurrent_calls_share_one_producer() -> None:
    """A burst of calls starts one producer, and closing twice does no harm."""
    broker = ScriptedBroker()
    producer = ReliableProducer(ACCESS, factory=broker.build)
    await asyncio.gather(*(producer.send("t", b"k", b"v") for _ in range(20)))

    assert len(broker.built) == 1

    await producer.close()
    await producer.close()


async def test_closing_does_not_wait_for_brokers_that_are_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that cannot be flushed in time are failed."""
    monkeypatch.setattr(producer_module, "_STOP_TIMEOUT_S", 0.05)
    broker = ScriptedBroker(stops_by_itself=False)
    producer = ReliableProducer(ACCESS, factory=broker.build)

    await producer.send("t", b"k", b"v")
    await producer.close()

    assert broker.built[0].failed.is_set()


async def test_closing_does_not_wait_for_a_producer_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """If failing the pending records does not help either, the connections are closed."""
    monkeypatch.setattr(producer_module, "_STOP_TIMEOUT_S", 0.05)
    monkeypatch.setattr(ProducerDouble, "fail_all", lambda *_: None)
    broker = ScriptedBroker(stops_by_itself=False)
    producer = ReliableProducer(ACCESS, factory=broker.build)

    await producer.send("t", b"k", b"v")
    await producer.close()

    assert (broker.built[0].stopped.is_set(), broker.built[0].closed) == (False, True)


async def test_a_bug_is_not_mistaken_for_an_outage() -> None:
    """An error that comes neither from Kafka nor from the network is raised unchanged."""
    producer = ReliableProducer(ACCESS, factory=ScriptedBroker(AssertionError("a bug")).build)
    with pytest.raises(AssertionError):
        await producer.send("t", b"k", b"v")


async def test_a_dead_letter_that_cannot_be_written_is_unavailable() -> None:
    """The writer raises ``KafkaUnavailable``, so the record's offset is not committed."""
    producer = ReliableProducer(ACCESS, factory=ScriptedBroker(KafkaError()).build)
    with pytest.raises(KafkaUnavailable):
        await KafkaDeadLetterWriter(producer).write("t.dlt", b"k", b"v", [])
