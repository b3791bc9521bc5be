"""One sign-in's story, read from Temporal's histories: what was decided, tried, and published, and when.

Payloads are opened with the worker's own keys, and only what names nobody is kept of them.
"""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeVar

from pydantic import BaseModel
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError

from activities.addresses import masked
from activities.errors import TemporalUnavailable
from consumers.gateway.error_table import NO_CONNECTION, is_missing_workflow
from consumers.ports import KafkaUnavailable
from schemas.results import CODE_SENT, TERMINAL_TYPES, code_sent_id
from schemas.signals import Challenge, Refusal, SignInInput, SignInOutcome, Submission
from schemas.status import Trace, TraceEvent
from schemas.tasks import MailToSend, Publication, Published
from utils.kafka.access import KafkaAccess
from utils.kafka.search import find_records
from utils.temporal.client import RPC_TIMEOUT
from workflows.names import (
    OPEN_OR_RESEND_SIGNAL,
    REFUSE_RESEND_SIGNAL,
    SUBMIT_SIGNAL,
    mailbox_workflow_id,
    sign_in_workflow_id,
)

MOST_ATTEMPTS: Final = 20
_AFTERWARDS: Final = timedelta(minutes=5)
_WITHOUT_A_START: Final = timedelta(hours=1)
_LOCAL: Final = "core_local_activity"
_Model = TypeVar("_Model", bound=BaseModel)
_Where = Literal["Kafka", "request", "mailbox"]


class Storyteller:
    """Tells the story of a sign-in."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tell(self, signin_id: str, mailbox: str | None = None) -> Trace:
        """Return what Temporal knows. Raises ``TemporalUnavailable``.

        ``mailbox`` (its pseudonym) helps where no attempt was accepted, or attempt 1 is forgotten already.
        """
        try:
            reader = _Reader(self._client, signin_id)
            for attempt in range(1, MOST_ATTEMPTS + 1):
                await reader.read_request(attempt)
            reader.mailbox = reader.mailbox or mailbox
            if reader.mailbox is not None:
                await reader.read_mailbox(reader.mailbox)
        except RPCError as error:
            raise TemporalUnavailable from error
        except NO_CONNECTION:
            raise TemporalUnavailable from None
        return reader.story()


class _Reader:
    def __init__(self, client: Client, signin_id: str) -> None:
        self._client = client
        self._signin_id = signin_id
        self._moments: list[TraceEvent] = []
        self._outcome: str | None = None
        self._account: str | None = None
        self._masked: str | None = None
        self._mailed: set[int] = set()
        self.mailbox: str | None = None

    def story(self) -> Trace:
        """Return it, oldest first."""
        return Trace(
            signin_id=self._signin_id,
            account=self._account,
            mailbox=self.mailbox,
            masked=self._masked,
            outcome=self._outcome,
            moments=tuple(sorted(self._moments, key=lambda moment: moment.at)),
        )

    async def read_request(self, attempt: int) -> None:
        """Read the workflow of one attempt, if there is one."""
        handle = self._client.get_workflow_handle(sign_in_workflow_id(self._signin_id, attempt))
        try:
            events = [event async for event in handle.fetch_history_events(rpc_timeout=RPC_TIMEOUT)]
        except RPCError as error:
            if is_missing_workflow(error):
                return
            raise
        activities = _Activities(events)
        for event in events:
            await self._request_event(event, attempt, activities)

    async def _request_event(self, event: HistoryEvent, attempt: int, activities: "_Activities") -> None:
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                given = event.workflow_execution_started_event_attributes.input.payloads
                start = await self._opened(given, SignInInput)
                self._masked = masked(start.request.email)
                waited = round((_time(event) - start.born_at).total_seconds(), 3)
                self._note(event, "request", "request taken", attempt=attempt, waited_ms=int(waited * 1_000))
            case EventType.EVENT_TYPE_MARKER_RECORDED:
                self._local(event, "request", attempt)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
                given = event.workflow_execution_completed_event_attributes.result.payloads
                outcome = await self._opened(given, SignInOutcome)
                self._account = self._account or outcome.account
                self.mailbox = self.mailbox or outcome.mailbox
                reason = {"reason": outcome.reason} if outcome.reason else {}
                self._note(event, "request", f"request {outcome.status}", attempt=attempt, **reason)
            case EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED | EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
                self._note(event, "request", "workflow task failed", attempt=attempt)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
                self._note(event, "request", "terminated by an operator", attempt=attempt)
            case _:
                await self._activity(event, "request", activities)

    async def read_mailbox(self, mailbox: str) -> None:
        """Read the runs of a mailbox, as far as they are about this sign-in."""
        async for run_id in self._runs(mailbox_workflow_id(mailbox)):
            handle = self._client.get_workflow_handle(mailbox_workflow_id(mailbox), run_id=run_id)
            events = [event async for event in handle.fetch_history_events(rpc_timeout=RPC_TIMEOUT)]
            activities = _Activities(events)
            for event in events:
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                    await self._signal(event)
                elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
                    self._note(event, "mailbox", "terminated by an operator")
                elif event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED:
                    await self._published_at_once(event)
                else:
                    await self._activity(event, "mailbox", activities)

    async def _runs(self, workflow_id: str) -> AsyncIterator[str]:
        async for one in self._client.list_workflows(f"WorkflowId = '{workflow_id}'"):
            yield one.run_id

    async def _signal(self, event: HistoryEvent) -> None:
        signal = event.workflow_execution_signaled_event_attributes
        kinds: dict[str, type[Challenge | Refusal | Submission]]
        kinds = {OPEN_OR_RESEND_SIGNAL: Challenge, REFUSE_RESEND_SIGNAL: Refusal, SUBMIT_SIGNAL: Submission}
        kind = kinds.get(signal.signal_name)
        if kind is None:
            return
        told = await self._opened(signal.input.payloads, kind)
        if told.signin_id != self._signin_id:
            return
        match told:
            case Challenge():
                self._account = told.account
                self._note(event, "mailbox", "attempt handed over", attempt=told.attempt)
            case Refusal():
                self._note(event, "mailbox", "attempt refused", attempt=told.attempt, reason=told.reason)
            case Submission():
                self._account = self._account or told.account
                self._note(event, "mailbox", "code submitted", submission_id=told.submission_id)

    async def _activity(self, event: HistoryEvent, where: _Where, activities: "_Activities") -> None:
        """Tell how a normal activity ended, if it was about this sign-in; what was published is told as results."""
        ended = activities.ended(event)
        if ended is None:
            return
        name, given, tries, failure = ended
        if name == "publish_result_activity":
            await self._published(event, where, given, tries)
            return
        details: dict[str, str | int] = {"tries": tries} if tries > 1 else {}
        if name == "send_email_activity":
            mail = await self._opened(given, MailToSend)
            if mail.signin_id != self._signin_id:
                return
            details["attempt"] = mail.attempt
            self._mailed.add(mail.attempt)
        elif where == "mailbox":
            return
        if failure is not None:
            self._note(event, where, f"{name} failed", error=failure, **details)
        else:
            self._note(event, where, f"{name} done", **details)

    async def _published(self, event: HistoryEvent, where: _Where, given: Sequence[Payload], tries: int) -> None:
        publication = await self._opened(given, Publication)
        for one in publication.events:
            result = one.result
            if result.signin_id != self._signin_id:
                continue
            told = {
                name: getattr(result, name, None) for name in ("reason", "attempt", "attempts_left", "retry_after_s")
            }
            details: dict[str, str | int] = {name: value for name, value in told.items() if value is not None}
            if tries > 1:
                details["tries"] = tries
            decided = TraceEvent(at=result.occurred_at, where=where, what=f"decided {result.type}", details=details)
            self._moments.append(decided)
            self._note(event, "Kafka", f"published {result.type}", event_id=one.event_id)
            if result.type in TERMINAL_TYPES:
                self._outcome = result.type

    def _local(self, event: HistoryEvent, where: _Where, attempt: int) -> None:
        name, failed = _local_activity(event)
        if name is not None:
            error = {"error": failed} if failed else {}
            self._note(event, where, f"{name} {'failed' if failed else 'done'}", attempt=attempt, **error)

    async def _published_at_once(self, event: HistoryEvent) -> None:
        """Tell of word of a mail that Kafka took within the task that heard of the mail: history keeps its id."""
        name, failed = _local_activity(event)
        if name != "publish_result_activity" or failed:
            return
        given = event.marker_recorded_event_attributes.details["result"].payloads
        event_ids = (await self._opened(given, Published)).event_ids
        for attempt in self._mailed:
            event_id = code_sent_id(self._signin_id, attempt)
            if event_id in event_ids:
                self._note(event, "mailbox", f"decided {CODE_SENT}", attempt=attempt)
                self._note(event, "Kafka", f"published {CODE_SENT}", event_id=event_id)

    async def _opened(self, payloads: Sequence[Payload], kind: type[_Model]) -> _Model:
        (opened,) = await self._client.data_converter.decode(payloads, [kind])
        return opened  # type: ignore[no-any-return]  # decode returns list[Any]

    def _note(self, event: HistoryEvent, where: _Where, what: str, **details: str | int) -> None:
        self._moments.append(TraceEvent(at=_time(event), where=where, what=what, details=details))


class _Activities:
    """The normal activities of one history: how each was asked for, and how often it was tried."""

    def __init__(self, events: Sequence[HistoryEvent]) -> None:
        self._scheduled = {
            event.event_id: event.activity_task_scheduled_event_attributes
            for event in events
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
        }
        started = (
            event.activity_task_started_event_attributes
            for event in events
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED
        )
        self._tries = {one.scheduled_event_id: one.attempt for one in started}

    def ended(self, event: HistoryEvent) -> tuple[str, Sequence[Payload], int, str | None] | None:
        """Return name, input, tries and the class of the error, if this event is the end of an activity."""
        failure: str | None = None
        match event.event_type:
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                asked = event.activity_task_completed_event_attributes.scheduled_event_id
            case EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
                asked = event.activity_task_failed_event_attributes.scheduled_event_id
                failure = _class_of(event.activity_task_failed_event_attributes.failure)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
                asked, failure = event.activity_task_timed_out_event_attributes.scheduled_event_id, "TimeoutError"
            case _:
                return None
        scheduled = self._scheduled[asked]
        return scheduled.activity_type.name, scheduled.input.payloads, self._tries.get(asked, 1), failure


def _local_activity(event: HistoryEvent) -> tuple[str | None, str | None]:
    """Return which local activity a marker is about, if it is one, and the class of its error, if there was one."""
    marker = event.marker_recorded_event_attributes
    if marker.marker_name != _LOCAL or "data" not in marker.details:
        return None, None
    name = json.loads(marker.details["data"].payloads[0].data).get("activity_type")
    failed = _class_of(marker.failure) if marker.HasField("failure") else None
    return (name if isinstance(name, str) else None), failed


def _class_of(failure: Failure) -> str:
    """Name the error, of a chain the first that has a name."""
    if failure.HasField("timeout_failure_info"):
        return "TimeoutError"
    kind = failure.application_failure_info.type
    if kind.isidentifier():
        return kind
    return _class_of(failure.cause) if failure.HasField("cause") else "Error"


def _time(event: HistoryEvent) -> datetime:
    return event.event_time.ToDatetime(UTC)


async def whole_story(
    client: Client, access: KafkaAccess, topics: Sequence[str], signin_id: str, mailbox: str | None
) -> Trace:
    """Return what Temporal knows of a sign-in, and where its records lie in Kafka. Raises ``TemporalUnavailable``."""
    story = await Storyteller(client).tell(signin_id, mailbox)
    begun = story.moments[0].at if story.moments else datetime.now(UTC) - _WITHOUT_A_START
    over = story.moments[-1].at + _AFTERWARDS if story.outcome else datetime.now(UTC)
    try:
        records = await find_records(access, topics, signin_id, begun, over)
    except KafkaUnavailable as error:
        return story.model_copy(update={"away": {"Kafka": str(error)}})
    moments = sorted([*story.moments, *records], key=lambda moment: moment.at)
    return story.model_copy(update={"moments": tuple(moments)})
