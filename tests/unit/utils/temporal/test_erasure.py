"""How the server is asked for runs. What it answers is tested in tests/integration/test_erasure.py."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.contrib.pydantic import pydantic_data_converter

from utils.temporal.erasure import TemporalErasure
from workflows.names import REJECT_SIGNAL


class FakeClient:
    """Lists one run for each prefix that it is asked for, and one that nobody asked for."""

    def __init__(self) -> None:
        self.queries: list[str] = []

    async def list_workflows(self, query: str) -> AsyncIterator[Any]:
        """Note the query, and answer it."""
        self.queries.append(query)
        for prefix in [*query.split("'")[1::2], "signin/somebody-elses/"]:
            yield SimpleNamespace(
                id=f"{prefix}1",
                run_id=f"run of {prefix}",
                status=WorkflowExecutionStatus.COMPLETED,
                start_time=datetime(2026, 11, 27, tzinfo=UTC),
            )


async def test_twenty_sign_ins_are_asked_for_at_once() -> None:
    """A mailbox of years names thousands: one call for each would take minutes. Nobody else's run is returned."""
    client = FakeClient()
    sign_ins = frozenset(f"sign-in-{number}" for number in range(45))

    found = await TemporalErasure(cast(Client, client))._requests(sign_ins)

    assert len(client.queries) == 3
    assert client.queries[0].startswith("WorkflowId STARTS_WITH 'signin/sign-in-0/' OR WorkflowId STARTS_WITH ")
    assert {run.sign_in for run in found} == sign_ins


class FakeMailbox:
    """Lists one run of a mailbox, which was sent one signal."""

    data_converter = pydantic_data_converter

    def __init__(self, *arguments: Payload) -> None:
        self._event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
        signal = self._event.workflow_execution_signaled_event_attributes
        signal.signal_name = REJECT_SIGNAL
        signal.input.payloads.extend(arguments)

    async def list_workflows(self, query: str) -> AsyncIterator[Any]:
        """Yield the run, and no request."""
        if "mailbox/" in query:
            yield SimpleNamespace(
                id="mailbox/m",
                run_id="r",
                status=WorkflowExecutionStatus.RUNNING,
                start_time=datetime(2026, 11, 27, tzinfo=UTC),
            )

    def get_workflow_handle(self, _: str, *, run_id: str) -> Any:
        """Return a handle that yields the signal."""

        async def events(**_: Any) -> AsyncIterator[HistoryEvent]:
            yield self._event

        return SimpleNamespace(fetch_history_events=events)


MISTAKES = [
    [],
    [Payload(metadata={"encoding": b"binary/null"})],
    [Payload(metadata={"encoding": b"binary/plain"}, data=b"x")],
    [Payload(metadata={"encoding": b"binary/cbor"}, data=b"\xa1")],
    [Payload(metadata={"encoding": b"json/plain"}, data=b"[]")],
    [Payload(metadata={"encoding": b"json/plain"}, data=b"{}")] * 2,
]
"""Arguments that no release can have written."""


@pytest.mark.parametrize("arguments", MISTAKES)
async def test_a_mistaken_signal_does_not_protect_its_mailbox_from_erasure(arguments: list[Payload]) -> None:
    """An operator mistyped it. The run is found, so it can be deleted, and the signal names no request."""
    found = await TemporalErasure(cast(Client, FakeMailbox(*arguments))).find("m")

    assert [(run.kind, run.sign_ins, run.is_readable) for run in found.runs] == [("mailbox", frozenset(), True)]


async def test_a_signal_of_a_newer_release_names_its_request() -> None:
    """Each release's messages name their sign-in, whatever else they hold."""
    newer = Payload(
        metadata={"encoding": b"json/plain"}, data=b'{"format": 2, "signin_id": "%s", "new": 1}' % (b"s" * 22)
    )
    found = await TemporalErasure(cast(Client, FakeMailbox(newer))).find("m")

    assert [run.sign_ins for run in found.runs] == [frozenset({"s" * 22})]


class FakeRequests:
    """Lists requests, each with the arguments that it was started with."""

    data_converter = pydantic_data_converter

    def __init__(self, *starts: Sequence[Payload]) -> None:
        self._starts = {f"signin/{number}/1": start for number, start in enumerate(starts)}

    async def list_workflows(self, query: str) -> AsyncIterator[Any]:
        """Yield the requests, and nothing of the mailbox."""
        for workflow_id in self._starts if "WorkflowType" in query else ():
            yield SimpleNamespace(
                id=workflow_id,
                run_id=workflow_id,
                status=WorkflowExecutionStatus.COMPLETED,
                start_time=datetime(2026, 11, 27, tzinfo=UTC),
            )

    def get_workflow_handle(self, workflow_id: str, *, run_id: str) -> Any:
        """Return a handle that yields the first event."""
        start = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED)
        start.workflow_execution_started_event_attributes.input.payloads.extend(self._starts[workflow_id])

        async def events(**_: Any) -> AsyncIterator[HistoryEvent]:
            yield start

        return SimpleNamespace(fetch_history_events=events)


def start_of(email: str) -> list[Payload]:
    """Return the arguments of a request of a newer release."""
    content = {"format": 99, "request": {"email": email, "new": 1}}
    return [Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(content).encode())]


async def test_a_request_of_another_release_is_found_by_its_address() -> None:
    """Each release's requests hold their address, whatever else they hold: a roll-back does not stop an erasure."""
    client = FakeRequests(start_of("ada@example.com"), start_of("bob@example.com"))
    found = await TemporalErasure(cast(Client, client)).find("m", lambda email: email == "ada@example.com")

    assert [run.workflow_id for run in found.runs] == ["signin/0/1"]
    assert found.unreadable_requests == 0


@pytest.mark.parametrize("arguments", MISTAKES)
async def test_a_mistaken_request_does_not_stop_an_erasure(arguments: list[Payload]) -> None:
    """An operator started it by hand. It holds nobody's address, and the others are found."""
    client = FakeRequests(arguments, start_of("ada@example.com"))
    found = await TemporalErasure(cast(Client, client)).find("m", lambda email: email == "ada@example.com")

    assert [run.workflow_id for run in found.runs] == ["signin/1/1"]
    assert found.unreadable_requests == 0
