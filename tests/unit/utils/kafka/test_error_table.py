"""The meaning of each error of aiokafka."""

import inspect
import ssl
from collections import Counter

import pytest
from aiokafka import errors

from consumers.ports import GroupRefused, KafkaMisconfigured, KafkaUnavailable, RecordRefused
from utils.kafka.error_table import ERROR_TABLE, Meaning, meaning, translate

ALL_ERRORS = {
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, Exception) and each.__module__ == errors.__name__
}
LISTED = Counter(each for row in ERROR_TABLE for each in row.errors)


def test_each_error_of_aiokafka_stands_in_one_row() -> None:
    """A new version of aiokafka with a new error fails here until its meaning is decided."""
    assert ALL_ERRORS - LISTED.keys() == set()
    assert {each for each, count in LISTED.items() if count > 1} == set()


def test_only_configuration_has_a_remedy() -> None:
    """An operator reads what to do wherever an operator must act."""
    needs_operator = (Meaning.CONFIGURATION, Meaning.GROUP)
    assert all(bool(row.remedy) == (row.meaning in needs_operator) for row in ERROR_TABLE)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.TopicAuthorizationFailedError("in"), KafkaMisconfigured),
        (errors.GroupAuthorizationFailedError("g"), GroupRefused),
        (errors.SaslAuthenticationFailed(), KafkaMisconfigured),
        (ssl.SSLCertVerificationError("self-signed"), KafkaMisconfigured),
        (errors.UnknownTopicOrPartitionError(), KafkaUnavailable),
        (errors.NotEnoughReplicasError(), KafkaUnavailable),
        (errors.QuotaViolationError(), KafkaUnavailable),
        (errors.OutOfOrderSequenceNumber(), KafkaUnavailable),
        (errors.ProducerFenced(), KafkaUnavailable),
        (errors.MessageSizeTooLargeError(), RecordRefused),
        (errors.RecordListTooLargeError(), RecordRefused),
        (ConnectionResetError(), KafkaUnavailable),
        (ssl.SSLError("alert"), KafkaUnavailable),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_callers_are_told_what_an_error_means(error: Exception, expected: type[KafkaUnavailable]) -> None:
    """Whether to try again, to wait for an operator, or to give up on the record."""
    assert type(translate(error)) is expected


def test_the_text_names_the_error_and_the_remedy_and_nothing_else() -> None:
    """The error's own text may quote what was sent."""
    told = translate(errors.TopicAuthorizationFailedError("ada@example.com"))
    assert str(told) == "TopicAuthorizationFailedError: grant the rights that signin-worker check names"


def test_an_error_that_is_not_listed_goes_by_its_base_class() -> None:
    """A subclass of a listed error has its meaning."""

    class Newer(errors.TopicAuthorizationFailedError):  # type: ignore[misc] # aiokafka has no types
        """An error of a later aiokafka."""

    assert meaning(Newer()) is Meaning.CONFIGURATION
