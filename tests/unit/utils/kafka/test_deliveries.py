"""What a producer's deliveries of late say about it."""

import pytest

from utils.kafka.deliveries import DeliveryRecord

TIMEOUT_S = 10.0


class Record(DeliveryRecord):
    """A record with a clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(TIMEOUT_S, lambda: self.now_s)


@pytest.fixture
def record() -> Record:
    """Give the record of a producer that has just connected."""
    return Record()


def test_nothing_sent_is_no_failure(record: Record) -> None:
    """A producer that nobody uses is taken to deliver."""
    record.now_s = 1_000

    assert record.delivers


def test_one_failure_is_not_enough(record: Record) -> None:
    """A single failure may be a leader that moves."""
    record.now_s = 10
    record.failure()

    assert record.delivers


def test_failures_for_the_whole_timeout_say_that_it_does_not_deliver(record: Record) -> None:
    """Failures alone, over as long as a record may take, are an outage; one acknowledgement ends it."""
    for record.now_s in (10, 20):
        record.failure()

    assert not record.delivers

    record.success()

    assert record.delivers


def test_an_acknowledgement_between_failures_counts(record: Record) -> None:
    """Failures are only counted since the last acknowledgement."""
    record.now_s = 10
    record.failure()
    record.success()
    record.now_s = 20
    record.failure()

    assert record.delivers


def test_old_failures_are_forgotten(record: Record) -> None:
    """Once nobody tries any more, the last failures say nothing about now."""
    for record.now_s in (10, 30):
        record.failure()
    record.now_s = 91

    assert record.delivers


def test_silence_is_measured_from_the_last_acknowledgement_or_the_connection(record: Record) -> None:
    """A new producer has one and a half times as long as a record may take."""
    record.now_s = 14.9
    assert not record.is_silent

    record.now_s = 15
    assert record.is_silent

    record.begin()
    assert not record.is_silent

    record.now_s = 20
    record.success()
    record.now_s = 34.9
    assert not record.is_silent
