"""Signals that wait."""

import logging

import pytest
from temporalio.common import RawValue
from temporalio.contrib.pydantic import pydantic_data_converter

from schemas.policy import Policy
from schemas.signals import Challenge, Refusal
from tests.fakes.mailbox_world import START
from workflows.inbox import MAX_SIGNALS_PER_BATCH, Inbox

CONVERTER = pydantic_data_converter.payload_converter


def raw(content: object) -> RawValue:
    """Return a signal's argument as it comes."""
    return RawValue(CONVERTER.to_payload(content))


def refusal(number: int) -> Refusal:
    """Return one of many."""
    return Refusal(signin_id=f"signin-{number:022}", attempt=2, reason="stale")


def challenge(signin_id: str, attempt: int) -> Challenge:
    """Return an attempt."""
    return Challenge(
        signin_id=signin_id,
        attempt=attempt,
        email="ada@example.com",
        account="ada",
        requested_at=START,
        born_at=START,
        policy=Policy(),
    )


def test_what_came_first_is_read_first_a_thousand_at_a_time() -> None:
    """Ten thousand at once would take longer than a workflow task may."""
    inbox = Inbox(CONVERTER)
    told = [refusal(number) for number in range(MAX_SIGNALS_PER_BATCH + 2)]
    for one in told:
        inbox.put(Refusal, raw(one))

    assert list(inbox.read_batch()) == told[:MAX_SIGNALS_PER_BATCH]
    assert len(inbox) == 2
    assert list(inbox.read_batch()) == told[MAX_SIGNALS_PER_BATCH:]
    assert list(inbox.read_batch()) == []


@pytest.mark.parametrize("content", [{"signin_id": "x"}, "ada@example.com", None, 7])
def test_what_cannot_be_read_is_dropped_and_told(content: object, caplog: pytest.LogCaptureFixture) -> None:
    """By the kind of signal and of error, never by what stands in it; the next one is read."""
    inbox = Inbox(CONVERTER)
    inbox.put(Refusal, raw(content))
    inbox.put(Refusal, raw(refusal(1)))
    with caplog.at_level(logging.ERROR):
        assert list(inbox.read_batch()) == [refusal(1)]

    (record,) = caplog.records

    assert vars(record)["signal"] == "Refusal"
    assert "ada@" not in str(vars(record))


def test_it_knows_whose_first_attempt_waits() -> None:
    """Not a later one, nor word of one: a first attempt that waits here was handed over."""
    inbox = Inbox(CONVERTER)
    first, later = "f" * 22, "l" * 22
    inbox.put(Challenge, raw(challenge(later, 2)))
    inbox.put(Refusal, raw(refusal(3)))
    inbox.put(Challenge, raw(challenge(first, 1)))

    assert inbox.holds_first_attempt(first)
    assert not inbox.holds_first_attempt(later)
    assert not inbox.holds_first_attempt(refusal(3).signin_id)
    assert len(inbox) == 3
