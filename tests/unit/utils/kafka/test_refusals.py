"""A refusal of Kafka, remembered for a moment."""

import logging

import pytest

from consumers.ports import KafkaMisconfigured, KafkaUnavailable
from utils.kafka.refusals import Refusals


class Stopwatch:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def _raise(refusals: Refusals, error: Exception) -> None:
    with pytest.raises(type(error)), refusals.noted():
        raise error


def test_a_refusal_lasts_beyond_calls_that_succeed() -> None:
    """It ends once Kafka has refused nothing for as long as it is held."""
    stopwatch = Stopwatch()
    refusals = Refusals(hold_s=15, stopwatch=stopwatch)
    _raise(refusals, KafkaMisconfigured("no right"))

    stopwatch.now = 14
    with refusals.noted():
        pass
    assert refusals.reason == "no right"

    stopwatch.now = 15
    assert refusals.reason is None


def test_an_outage_is_no_refusal() -> None:
    """Only what an operator must repair is one."""
    refusals = Refusals()
    _raise(refusals, KafkaUnavailable("no answer"))
    assert refusals.reason is None


def test_a_refusal_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Calls are repeated every second, and the log would be full of it."""
    refusals = Refusals()
    for _ in range(3):
        _raise(refusals, KafkaMisconfigured("no right"))

    [line] = caplog.records
    assert line.levelno == logging.ERROR
    assert vars(line)["reason"] == "no right"
