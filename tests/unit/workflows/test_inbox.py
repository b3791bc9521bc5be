"""The inbox of a mailbox: raw signals in, batches of messages out."""

import logging

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.contrib.pydantic import pydantic_data_converter

from schemas.policy import Policy
from schemas.signals import Challenge, Refusal
from tests.fakes.mailbox_world import START
from workflows.inbox import MAX_SIGNALS_PER_BATCH, Inbox, UnreadableSignal
from workflows.names import OPEN_OR_RESEND_SIGNAL, REFUSE_RESEND_SIGNAL

CONVERTER = pydantic_data_converter.payload_converter


@pytest.fixture
def inbox() -> Inbox:
    """Give an empty inbox."""
    return Inbox(CONVERTER)


def raw(content: object) -> list[RawValue]:
    """Return a signal's arguments as they arrive."""
    return [RawValue(CONVERTER.to_payload(content))]


def refusal(number: int) -> Refusal:
    """Return a refusal of a sign-in of its own."""
    return Refusal(signin_id=f"signin-{number:022}", attempt=2, reason="stale", decided_at=START)


def challenge(signin_id: str, attempt: int) -> Challenge:
    """Return an attempt."""
    return Challenge(
        signin_id=signin_id,
        attempt=attempt,
        email="ada@example.com",
        account="ada",
        requested_at=START,
        born_at=START,
        decided_at=START,
        policy=Policy(),
    )


def test_signals_are_read_in_order_a_thousand_at_a_time(inbox: Inbox) -> None:
    """Reading ten thousand at once would take longer than a workflow task may."""
    refusals = [refusal(number) for number in range(MAX_SIGNALS_PER_BATCH + 2)]
    for one in refusals:
        inbox.put(REFUSE_RESEND_SIGNAL, raw(one))

    assert list(inbox.read_batch()) == refusals[:MAX_SIGNALS_PER_BATCH]
    assert len(inbox) == 2
    assert list(inbox.read_batch()) == refusals[MAX_SIGNALS_PER_BATCH:]
    assert list(inbox.read_batch()) == []


@pytest.mark.parametrize("content", [{"signin_id": "x"}, "ada@example.com", None, 7, {}])
def test_a_signal_that_no_release_wrote_is_dropped_and_logged(
    inbox: Inbox,
    content: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log line names the kinds of signal and error but quotes no content.

    The next signal is read.
    """
    inbox.put(REFUSE_RESEND_SIGNAL, raw(content))
    inbox.put(REFUSE_RESEND_SIGNAL, raw(refusal(1)))

    with caplog.at_level(logging.ERROR):
        assert list(inbox.read_batch()) == [refusal(1)]

    (record,) = caplog.records

    assert vars(record)["signal"] == REFUSE_RESEND_SIGNAL
    assert "ada@" not in str(vars(record))


def test_an_unread_signal_of_another_release_is_no_answer_to_who_asks(inbox: Inbox) -> None:
    """It may be the very attempt that is asked for: the query fails, and is asked again."""
    inbox.put(OPEN_OR_RESEND_SIGNAL, raw(challenge("f" * 22, 1).model_dump(mode="json") | {"format": 2}))
    with pytest.raises(UnreadableSignal):
        inbox.holds_first_attempt("f" * 22)


def test_an_encoding_that_we_do_not_know_may_be_of_another_release(inbox: Inbox) -> None:
    """So it is not dropped."""
    payload = Payload(metadata={"encoding": b"binary/cbor"}, data=b"\xa1")
    inbox.put(REFUSE_RESEND_SIGNAL, [RawValue(payload)])
    with pytest.raises(UnreadableSignal):
        list(inbox.read_batch())


def test_the_inbox_finds_an_unread_first_attempt(inbox: Inbox) -> None:
    """An unread first attempt was handed over. Later attempts and refusals do not count."""
    first = "f" * 22
    later = "l" * 22
    inbox.put(OPEN_OR_RESEND_SIGNAL, raw(challenge(later, 2)))
    inbox.put(REFUSE_RESEND_SIGNAL, raw(refusal(3)))
    inbox.put(OPEN_OR_RESEND_SIGNAL, raw(challenge(first, 1)))

    assert inbox.holds_first_attempt(first)
    assert not inbox.holds_first_attempt(later)
    assert not inbox.holds_first_attempt(refusal(3).signin_id)
    assert len(inbox) == 3
