"""Reads workflow histories: which activities ended how, and when."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RawValue
from temporalio.converter import DataConverter

from schemas.fields import SignInId
from utils.temporal.client import RPC_TIMEOUT

_LOCAL_ACTIVITY_MARKER: Final = "core_local_activity"
_JSON: Final = b"json/plain"

_Model = TypeVar("_Model", bound=BaseModel)


class EndedActivity(NamedTuple):
    """An activity that has ended. ``error`` is the class of its error, None if it succeeded."""

    name: str
    input: Sequence[Payload]
    tries: int
    error: str | None


class LocalActivity(NamedTuple):
    """A local activity, which is tried once. ``error`` is the class of its error, None if it succeeded."""

    name: str
    error: str | None
    tries: int = 1


class _Naming(BaseModel):
    """What all signals of a mailbox have in common, those of newer releases included."""

    signin_id: SignInId


class _Request(BaseModel):
    email: str


class _Start(BaseModel):
    """What the starts of all requests have in common, those of newer releases included."""

    request: _Request


class NotOfThisRelease(Exception):
    """Raised for a message of a shape that is unknown here: of another release, or mistyped by an operator."""


class Activities:
    """The activities of one history, local ones excepted: how each was scheduled, and how often it was tried."""

    def __init__(self, history: Sequence[HistoryEvent]) -> None:
        self._scheduled = {
            event.event_id: event.activity_task_scheduled_event_attributes
            for event in history
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
        }

        started = (
            event.activity_task_started_event_attributes
            for event in history
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED
        )
        self._tries = {start.scheduled_event_id: start.attempt for start in started}

    def ended(self, event: HistoryEvent) -> EndedActivity | None:
        """Return the activity that ``event`` ends, None if it ends none."""
        error: str | None = None

        match event.event_type:
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                scheduled_id = event.activity_task_completed_event_attributes.scheduled_event_id
            case EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
                scheduled_id = event.activity_task_failed_event_attributes.scheduled_event_id
                error = error_class(event.activity_task_failed_event_attributes.failure)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
                scheduled_id = event.activity_task_timed_out_event_attributes.scheduled_event_id
                error = "TimeoutError"
            case EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
                scheduled_id = event.activity_task_canceled_event_attributes.scheduled_event_id
                error = "CancelledError"
            case _:
                return None

        scheduled = self._scheduled[scheduled_id]
        tries = self._tries.get(scheduled_id, 1)
        return EndedActivity(scheduled.activity_type.name, scheduled.input.payloads, tries, error)


async def read_history(handle: WorkflowHandle[Any, Any]) -> list[HistoryEvent]:
    """Return the events of a workflow's history. Raises ``RPCError``."""
    return [event async for event in handle.fetch_history_events(rpc_timeout=RPC_TIMEOUT)]


async def read_runs(
    client: Client,
    workflow_id: str,
    since: datetime | None = None,
) -> AsyncIterator[list[HistoryEvent]]:
    """Yield the history of each run that the visibility store lists, unless it ended before ``since``.

    Raises ``RPCError``.
    """
    async for run in client.list_workflows(f"WorkflowId = '{workflow_id}'"):
        if since is None or run.close_time is None or run.close_time >= since:
            yield await read_history(client.get_workflow_handle(workflow_id, run_id=run.run_id))


async def named_sign_in(converter: DataConverter, arguments: Sequence[Payload]) -> str | None:
    """Return the sign-in that a signal names, None if no release can have written it: its mailbox dropped it, too.

    Like the mailbox, read the first argument only. Raises ``UnknownKey`` or ``CorruptPayload``.
    """
    naming = await _common_part(converter, arguments, _Naming)
    return None if naming is None else naming.signin_id


async def requested_address(converter: DataConverter, arguments: Sequence[Payload]) -> str | None:
    """Return the address that a request was started with, None if no release can have started it.

    Raises ``UnknownKey`` or ``CorruptPayload``.
    """
    start = await _common_part(converter, arguments, _Start)
    return None if start is None else start.request.email


async def read_first(converter: DataConverter, arguments: Sequence[Payload], model: type[_Model]) -> _Model:
    """Return the first argument. Raises ``NotOfThisRelease``, ``UnknownKey`` or ``CorruptPayload``."""
    decoded = await _common_part(converter, arguments, model)
    if decoded is None:
        raise NotOfThisRelease
    return decoded


async def _common_part(converter: DataConverter, arguments: Sequence[Payload], part: type[_Model]) -> _Model | None:
    """Return what the first argument says of ``part``, None if it is of another shape."""
    if not arguments:
        return None

    (first,) = await converter.decode(arguments[:1], [RawValue])
    if first.payload.metadata.get("encoding") != _JSON:
        return None

    try:
        return part.model_validate_json(first.payload.data)
    except ValidationError:
        return None


def local_activity(event: HistoryEvent) -> LocalActivity | None:
    """Return the local activity that a marker records, None if it records something else."""
    marker = event.marker_recorded_event_attributes
    if marker.marker_name != _LOCAL_ACTIVITY_MARKER or "data" not in marker.details:
        return None

    name = json.loads(marker.details["data"].payloads[0].data).get("activity_type")
    if not isinstance(name, str):
        return None

    error = error_class(marker.failure) if marker.HasField("failure") else None
    return LocalActivity(name, error)


def error_class(failure: Failure) -> str:
    """Return the class of an error, never its text. In a chain of causes, the first that has a class counts."""
    if failure.HasField("timeout_failure_info"):
        return "TimeoutError"

    name = failure.application_failure_info.type
    if name.isidentifier():
        return name
    return error_class(failure.cause) if failure.HasField("cause") else "Error"


def event_time(event: HistoryEvent) -> datetime:
    """Return when an event happened, in UTC."""
    return event.event_time.ToDatetime(UTC)
