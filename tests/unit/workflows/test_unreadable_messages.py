"""What another release wrote: a mailbox that cannot read it waits for a release that can."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import (
    InitializeWorkflow,
    SignalWorkflow,
    WorkflowActivationJob,
)
from temporalio.common import RawValue
from temporalio.contrib.pydantic import pydantic_data_converter

from schemas.mailbox import MailboxInput
from schemas.policy import Policy
from schemas.signals import Refusal
from tests.fakes.mailbox_world import START
from tests.fakes.workflow_runs import Run
from workflows.names import REFUSE_RESEND_SIGNAL, SUBMIT_SIGNAL, VERIFY_OTP_WORKFLOW

SIGNIN_ID = "s" * 22


def refusal(**changes: Any) -> dict[str, Any]:
    """Return a refusal as JSON."""
    message = Refusal(signin_id=SIGNIN_ID, attempt=2, reason="stale", decided_at=START)
    return message.model_dump(mode="json") | changes


def told(name: str, *arguments: Any, start: dict[str, Any] | None = None) -> Any:
    """Start a mailbox, send it a signal in its first workflow task, and return how the task ended."""
    converter = pydantic_data_converter.payload_converter
    started = MailboxInput(policy=Policy()).model_dump(mode="json") | (start or {})
    jobs = [
        WorkflowActivationJob(
            initialize_workflow=InitializeWorkflow(
                workflow_id="mailbox/m", workflow_type=VERIFY_OTP_WORKFLOW, arguments=[converter.to_payload(started)]
            )
        ),
        WorkflowActivationJob(
            signal_workflow=SignalWorkflow(
                signal_name=name, input=converter.to_payloads(arguments), originating_event_id=1
            )
        ),
    ]

    run = Run("mailbox/m", MailboxInput(policy=Policy()), START, START)
    return run.complete(START + timedelta(seconds=1), jobs)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (REFUSE_RESEND_SIGNAL, refusal(reason="a reason of tomorrow")),
        (REFUSE_RESEND_SIGNAL, refusal(format=2)),
        (REFUSE_RESEND_SIGNAL, {"signin_id": SIGNIN_ID}),
        (SUBMIT_SIGNAL, {"signin_id": SIGNIN_ID, "format": 2}),
        ("a_signal_of_tomorrow", {"signin_id": SIGNIN_ID}),
    ],
)
def test_a_signal_of_a_newer_release_fails_the_workflow_task(name: str, content: Any) -> None:
    """Temporal does the task again until a release that can read the signal does it. Nothing of it is quoted."""
    ended = told(name, content)

    assert ended.HasField("failed")
    assert "UnreadableSignal" in str(ended.failed)
    assert 'tomorrow"' not in ended.failed.failure.message and SIGNIN_ID not in str(ended.failed)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (REFUSE_RESEND_SIGNAL, "ada@example.com"),
        (REFUSE_RESEND_SIGNAL, None),
        (REFUSE_RESEND_SIGNAL, {"attempt": 2}),
        (REFUSE_RESEND_SIGNAL, {"signin_id": "too short"}),
        ("a_typing_error", {"hello": "world"}),
        ("a_typing_error", 7),
    ],
)
def test_what_no_release_can_have_written_is_dropped(name: str, content: Any) -> None:
    """Every message of every release names its sign-in. An operator's typing error must not block a mailbox."""
    assert told(name, content).HasField("successful")


@pytest.mark.parametrize("name", [REFUSE_RESEND_SIGNAL, "a_typing_error"])
@pytest.mark.parametrize("data", [b"{", b"\xff", b"[" * 100_000])
def test_what_no_parser_reads_is_dropped(name: str, data: bytes) -> None:
    """Not even a newer release can have written it."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=data)

    assert told(name, RawValue(payload)).HasField("successful")


@pytest.mark.parametrize("name", [REFUSE_RESEND_SIGNAL, "a_typing_error"])
def test_a_signal_without_an_argument_is_dropped(name: str) -> None:
    """No release sends one."""
    assert told(name).HasField("successful")


def test_members_that_a_newer_release_added_are_ignored() -> None:
    """Whoever adds a member that must not be ignored raises the message's format."""
    assert told(REFUSE_RESEND_SIGNAL, refusal(a_member="of tomorrow")).HasField("successful")


def test_a_state_that_a_newer_release_carried_over_fails_the_workflow_task() -> None:
    """A roll-back must not lose a part of a mailbox's memory."""
    ended = told(REFUSE_RESEND_SIGNAL, refusal(), start={"format": 2})
    assert ended.HasField("failed")
