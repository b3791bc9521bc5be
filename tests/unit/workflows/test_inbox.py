"""The inbox of a mailbox: raw signals in, batches of messages out."""

import logging

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.contrib.pydantic import pydantic_data_converter

from schemas.signals import Refusal
from tests.fakes.mailbox_world import START
from workflows.inbox import MAX_SIGNALS_PER_BATCH, Inbox, UnreadableSignal
from workflows.names import REFUSE_RESEND_SIGNAL

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


def test_an_encoding_that_we_do_not_know_may_be_of_another_release(inbox: Inbox) -> None:
    """So it is not dropped."""
    payload = Payload(metadata={"encoding": b"binary/cbor"}, data=b"\xa1")
    inbox.put(REFUSE_RESEND_SIGNAL, [RawValue(payload)])
    with pytest.raises(UnreadableSignal):
        list(inbox.read_batch())
