"""A trace, where a mailbox has had many runs, some under keys that were dropped."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent, WorkflowExecutionSignaledEventAttributes
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

from schemas.inbound import SignInRequested
from schemas.policy import Policy
from schemas.signals import SignInInput, Submission
from tests.fakes.mailbox_world import ADA, START
from utils.temporal.payload_codec import EncryptionCodec
from utils.temporal.trace import trace_workflows
from workflows.names import SUBMIT_SIGNAL

SIGN_IN = "s" * 22
DAY = timedelta(days=1)


def converter(key_id: str) -> DataConverter:
    """Return a converter with one key."""
    return replace(pydantic_data_converter, payload_codec=EncryptionCodec({key_id: bytes(32)}))


class Run(NamedTuple):
    """A run of the mailbox, which was sent one submission."""

    begins: datetime
    ends: datetime | None
    key_id: str
    submission_id: str


class FakeServer:
    """Lists the runs of a mailbox. ``read`` names those whose history was read.

    ``mistaken`` signals came to each run before its submission. ``sign_in_format`` is that of the request,
    unless it was started with other ``arguments``.
    """

    def __init__(
        self,
        *runs: Run,
        mistaken: tuple[HistoryEvent, ...] = (),
        sign_in_format: int = 1,
        arguments: list[Payload] | None = None,
    ) -> None:
        self.data_converter = converter("new")
        self.read: list[str] = []
        self._mistaken = mistaken
        self._sign_in_format = sign_in_format
        self._arguments = arguments
        self._runs = {run.submission_id: run for run in runs}

    async def list_workflows(self, _: str) -> AsyncIterator[Any]:
        """Yield the runs, the newest first."""
        for run in reversed(self._runs.values()):
            yield SimpleNamespace(run_id=run.submission_id, close_time=run.ends)

    def get_workflow_handle(self, workflow_id: str, *, run_id: str | None = None) -> Any:
        """Return a handle that yields a history."""

        async def events(**_: Any) -> AsyncIterator[HistoryEvent]:
            if run_id is not None:
                self.read.append(run_id)
                for mistaken in self._mistaken:
                    yield mistaken
                yield await signal(self._runs[run_id])
            elif workflow_id.endswith("/1"):
                yield start(await sign_in(self._sign_in_format) if self._arguments is None else self._arguments)
            else:
                raise RPCError("no", RPCStatusCode.NOT_FOUND, b"")

        return SimpleNamespace(fetch_history_events=events)


async def sign_in(format: int) -> list[Payload]:
    """Return what a request is started with, three days after the start."""
    asked = SignInRequested.model_validate(
        {"signin_id": SIGN_IN, "email": "ada@example.com", "requested_at": START + 3 * DAY}
    )
    content = SignInInput(request=asked, born_at=START + 3 * DAY, policy=Policy()).model_copy(update={"format": format})
    return await converter("new").encode([content])


def start(arguments: list[Payload]) -> HistoryEvent:
    """Return the first event of a request."""
    event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED)
    event.event_time.FromDatetime(START + 3 * DAY)
    event.workflow_execution_started_event_attributes.input.payloads.extend(arguments)
    return event


async def signal(run: Run) -> HistoryEvent:
    """Return the event of a run's submission."""
    submission = Submission(
        signin_id=SIGN_IN,
        submission_id=run.submission_id,
        account=ADA,
        seal="x",
        key_id="k",
        submitted_at=run.begins,
        read_at=run.begins,
    )
    payloads = Payloads(payloads=await converter(run.key_id).encode([submission]))
    signaled = WorkflowExecutionSignaledEventAttributes(signal_name=SUBMIT_SIGNAL, input=payloads)
    event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
    event.workflow_execution_signaled_event_attributes.CopyFrom(signaled)
    event.event_time.FromDatetime(run.begins)
    return event


async def test_runs_before_the_request_are_not_read() -> None:
    """A mailbox has a run for each day. Those of other days have nothing about this sign-in."""
    old = Run(START, START + DAY, "dropped", "submission-of-day-0")
    own = Run(START + 3 * DAY, None, "new", "submission-of-day-3")
    server = FakeServer(old, own)
    trace = await trace_workflows(cast(Client, server), SIGN_IN, "mailbox")

    assert server.read == ["submission-of-day-3"]
    assert [moment.what for moment in trace.moments] == ["request taken", "code submitted"]


async def test_a_run_under_a_dropped_key_does_not_hide_the_others() -> None:
    """It is named. What the other runs and the request say is shown."""
    unreadable = Run(START + 2.5 * DAY, START + 3.1 * DAY, "dropped", "submission-of-day-2")
    own = Run(START + 3.1 * DAY, None, "new", "submission-of-day-3")
    trace = await trace_workflows(cast(Client, FakeServer(unreadable, own)), SIGN_IN, "mailbox")

    assert [moment.what for moment in trace.moments] == [
        "a run that no payload key here decrypts",
        "request taken",
        "code submitted",
    ]


def raw_signal(*arguments: Payload, name: str = SUBMIT_SIGNAL) -> HistoryEvent:
    """Return the event of a signal of any shape."""
    event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
    event.event_time.FromDatetime(START + 3 * DAY)
    event.workflow_execution_signaled_event_attributes.signal_name = name
    event.workflow_execution_signaled_event_attributes.input.payloads.extend(arguments)
    return event


def json_payload(data: bytes) -> Payload:
    """Return a payload as an operator's command line makes one."""
    return Payload(metadata={"encoding": b"json/plain"}, data=data)


MISTYPED = [
    [],
    [Payload(metadata={"encoding": b"binary/null"})],
    [Payload(metadata={"encoding": b"binary/plain"}, data=b"x")],
    [Payload(metadata={"encoding": b"binary/cbor"}, data=b"\xa1")],
    [Payload(metadata={"encoding": b"binary/protobuf", "messageType": b"x"}, data=b"x")],
    [Payload(metadata={"encoding": b"json/protobuf", "messageType": b"x"}, data=b"{}")],
    [json_payload(b"{}")],
    [json_payload(b"[]")],
    [json_payload(b"no JSON")],
    [json_payload(b"{}"), json_payload(b"{}")],
]


@pytest.mark.parametrize("arguments", MISTYPED)
async def test_a_signal_that_names_no_sign_in_is_left_out(arguments: list[Payload]) -> None:
    """An operator mistyped it. What else the run holds is shown."""
    own = Run(START + 3 * DAY, None, "new", "submission-of-day-3")
    server = FakeServer(own, mistaken=(raw_signal(*arguments), raw_signal(*arguments, name="nonsense")))
    trace = await trace_workflows(cast(Client, server), SIGN_IN, "mailbox")

    assert [moment.what for moment in trace.moments] == ["request taken", "code submitted"]


@pytest.mark.parametrize("arguments", MISTYPED)
async def test_a_request_that_an_operator_mistyped_does_not_hide_the_mailbox(arguments: list[Payload]) -> None:
    """Somebody started the workflow by hand."""
    own = Run(START + 3 * DAY, None, "new", "submission-of-day-3")
    trace = await trace_workflows(cast(Client, FakeServer(own, arguments=arguments)), SIGN_IN, "mailbox")

    assert [moment.what for moment in trace.moments] == ["a message of another release", "code submitted"]


async def test_a_signal_of_another_release_is_named() -> None:
    """Its shape is unknown here, but it says whose it is: those about other sign-ins are left out."""
    own = Run(START + 3 * DAY, None, "new", "submission-of-day-3")
    newer = [json_payload(b'{"format": 2, "signin_id": "%s"}' % sign_in.encode()) for sign_in in (SIGN_IN, "t" * 22)]
    server = FakeServer(own, mistaken=tuple(raw_signal(payload) for payload in newer))
    trace = await trace_workflows(cast(Client, server), SIGN_IN, "mailbox")

    assert [moment.what for moment in trace.moments] == [
        "request taken",
        "a message of another release",
        "code submitted",
    ]


async def test_a_request_of_another_release_does_not_hide_the_mailbox() -> None:
    """While releases run side by side, an operator may have either of them."""
    own = Run(START + 3 * DAY, None, "new", "submission-of-day-3")
    trace = await trace_workflows(cast(Client, FakeServer(own, sign_in_format=2)), SIGN_IN, "mailbox")

    assert [moment.what for moment in trace.moments] == ["a message of another release", "code submitted"]


@pytest.mark.parametrize("key", [("newer", bytes(32)), ("new", b"n" * 32)], ids=["dropped", "replaced"])
async def test_what_no_key_decrypts_does_not_hide_the_rest(key: tuple[str, bytes]) -> None:
    """A request is named, and so is a run of the mailbox. One that came unencrypted is shown."""
    own = Run(START + 3 * DAY, None, "new", "submission-of-day-3")
    mistaken = raw_signal(json_payload(b'{"signin_id": "%s"}' % SIGN_IN.encode()))
    server = FakeServer(own, mistaken=(mistaken,))
    server.data_converter = replace(pydantic_data_converter, payload_codec=EncryptionCodec(dict([key])))
    trace = await trace_workflows(cast(Client, server), SIGN_IN, "mailbox")

    assert [moment.what for moment in trace.moments] == [
        "a request that no payload key here decrypts",
        "a message of another release",
        "a run that no payload key here decrypts",
    ]
