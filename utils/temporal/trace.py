"""The trace of one sign-in, read from Temporal's histories: what was decided, tried and published, and when.

Payloads are decrypted with the worker's own keys. Only what identifies nobody is kept.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeVar

from pydantic import BaseModel
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError

from activities.addresses import masked
from activities.errors import TemporalUnavailable, UnknownKey
from consumers.gateway.error_table import NO_CONNECTION, is_missing_workflow
from consumers.ports import KafkaUnavailable
from schemas.results import TERMINAL_TYPES, ResultEvent
from schemas.signals import Challenge, Refusal, Rejection, SignInInput, SignInOutcome, Submission
from schemas.status import Trace, TraceEvent
from schemas.tasks import MailToSend, Publication, Published
from utils.kafka.access import KafkaAccess
from utils.kafka.search import find_records
from utils.temporal.histories import (
    Activities,
    EndedActivity,
    LocalActivity,
    NotOfThisRelease,
    event_time,
    local_activity,
    named_sign_in,
    read_first,
    read_history,
    read_runs,
)
from utils.temporal.local_results import LocalResults
from utils.temporal.payload_codec import CorruptPayload
from workflows.inbox import MESSAGES
from workflows.names import mailbox_workflow_id, sign_in_workflow_id

_MAX_ATTEMPTS: Final = 20
_AFTER_THE_END: Final = timedelta(minutes=5)
_WITHOUT_A_START: Final = timedelta(hours=1)
_OF_ANOTHER_RELEASE: Final = "a message of another release"
_RESULT_DETAILS: Final = ("reason", "attempt", "attempts_left", "retry_after_s")

_Model = TypeVar("_Model", bound=BaseModel)
_Workflow = Literal["request", "mailbox"]
_Where = Literal["Kafka", _Workflow]


async def trace_sign_in(
    client: Client, access: KafkaAccess, topics: Sequence[str], signin_id: str, mailbox: str | None
) -> Trace:
    """Return what Temporal knows of a sign-in, and where its records are in Kafka. Raises ``TemporalUnavailable``.

    ``mailbox``, its pseudonym, helps where no attempt was accepted or Temporal has
    forgotten attempt 1.
    """
    trace = await trace_workflows(client, signin_id, mailbox)
    start = trace.moments[0].at if trace.moments else datetime.now(UTC) - _WITHOUT_A_START
    end = trace.moments[-1].at + _AFTER_THE_END if trace.outcome else datetime.now(UTC)

    try:
        found = await find_records(access, topics, signin_id, start, end)
    except KafkaUnavailable as error:
        return trace.model_copy(update={"away": {"Kafka": str(error)}})

    moments = _in_order([*trace.moments, *found.records])
    return trace.model_copy(update={"moments": moments, "unseen": found.unseen})


async def trace_workflows(client: Client, signin_id: str, mailbox: str | None = None) -> Trace:
    """Return what Temporal knows of a sign-in. Raises ``TemporalUnavailable``."""
    reader = _TraceReader(client, signin_id)

    try:
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            await reader.read_request(attempt)
        await reader.read_mailbox(mailbox)
    except (RPCError, *NO_CONNECTION):
        raise TemporalUnavailable from None

    return reader.trace()


class _TraceReader:
    """Collects the events of one sign-in from the histories of its workflows."""

    def __init__(self, client: Client, signin_id: str) -> None:
        self._client = client
        self._signin_id = signin_id
        self._events: list[TraceEvent] = []
        self._outcome: str | None = None
        self._account: str | None = None
        self._mailbox: str | None = None
        self._masked: str | None = None
        self._local_results = LocalResults(signin_id)
        self._local_publications: list[tuple[HistoryEvent, Sequence[str]]] = []

    def trace(self) -> Trace:
        """Return what was collected, oldest first."""
        return Trace(
            signin_id=self._signin_id,
            account=self._account,
            mailbox=self._mailbox,
            masked=self._masked,
            outcome=self._outcome,
            moments=_in_order(self._events),
        )

    async def read_request(self, attempt: int) -> None:
        """Read the workflow of one attempt, if it exists."""
        handle = self._client.get_workflow_handle(sign_in_workflow_id(self._signin_id, attempt))
        try:
            history = await read_history(handle)
        except RPCError as error:
            if is_missing_workflow(error):
                return
            raise

        try:
            await self._read_attempt(history, attempt)
        except (UnknownKey, CorruptPayload):
            self._add(history[0], "request", "a request that no payload key here decrypts", attempt=attempt)

    async def read_mailbox(self, mailbox: str | None) -> None:
        """Read what the runs of the mailbox hold about this sign-in. ``mailbox`` is used if no request named one."""
        self._mailbox = self._mailbox or mailbox
        if self._mailbox is None:
            return

        since = min((event.at for event in self._events), default=None)
        async for history in read_runs(self._client, mailbox_workflow_id(self._mailbox), since):
            try:
                await self._read_run(history)
            except (UnknownKey, CorruptPayload):
                self._add(history[0], "mailbox", "a run that no payload key here decrypts")
        self._add_local_results()

    async def _read_attempt(self, history: Sequence[HistoryEvent], attempt: int) -> None:
        activities = Activities(history)
        for event in history:
            try:
                await self._read_request_event(event, attempt, activities)
            except NotOfThisRelease:
                self._add(event, "request", _OF_ANOTHER_RELEASE, attempt=attempt)

    async def _read_run(self, history: Sequence[HistoryEvent]) -> None:
        activities = Activities(history)
        for event in history:
            try:
                await self._read_mailbox_event(event, activities)
            except NotOfThisRelease:
                self._add(event, "mailbox", _OF_ANOTHER_RELEASE)

    async def _read_request_event(self, event: HistoryEvent, attempt: int, activities: Activities) -> None:
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                await self._add_request_start(event, attempt)
            case EventType.EVENT_TYPE_MARKER_RECORDED:
                if activity := local_activity(event):
                    self._add_end(event, "request", activity, attempt=attempt)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
                await self._add_request_outcome(event, attempt)
            case EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED | EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
                self._add(event, "request", "workflow task failed", attempt=attempt)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
                self._add(event, "request", "terminated by an operator", attempt=attempt)
            case _:
                await self._add_ended_activity(event, "request", activities)

    async def _read_mailbox_event(self, event: HistoryEvent, activities: Activities) -> None:
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                await self._add_signal(event)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
                self._add(event, "mailbox", "terminated by an operator")
            case EventType.EVENT_TYPE_MARKER_RECORDED:
                await self._add_local_publication(event)
            case _:
                await self._add_ended_activity(event, "mailbox", activities)

    async def _add_request_start(self, event: HistoryEvent, attempt: int) -> None:
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        start = await self._decoded(payloads, SignInInput)
        self._masked = masked(start.request.email)

        waited_s = round((event_time(event) - start.born_at).total_seconds(), 3)
        self._add(event, "request", "request taken", attempt=attempt, waited_ms=int(waited_s * 1_000))

    async def _add_request_outcome(self, event: HistoryEvent, attempt: int) -> None:
        payloads = event.workflow_execution_completed_event_attributes.result.payloads
        outcome = await self._decoded(payloads, SignInOutcome)
        self._account = self._account or outcome.account
        self._mailbox = self._mailbox or outcome.mailbox

        reason = {"reason": outcome.reason} if outcome.reason else {}
        self._add(event, "request", f"request {outcome.status}", attempt=attempt, **reason)

    async def _add_signal(self, event: HistoryEvent) -> None:
        signal = event.workflow_execution_signaled_event_attributes
        kind = MESSAGES.get(signal.signal_name)
        arguments = signal.input.payloads[:1]
        if kind is None or await named_sign_in(self._client.data_converter, arguments) != self._signin_id:
            return

        message = await self._decoded(arguments, kind)

        match message:
            case Challenge():
                self._account = message.account
                self._add(event, "mailbox", "attempt handed over", attempt=message.attempt)
            case Refusal() | Rejection():
                self._add(event, "mailbox", "attempt refused", attempt=message.attempt, reason=message.reason)
            case Submission():
                self._account = self._account or message.account
                self._local_results.add_submission(message)
                self._add(event, "mailbox", "code submitted", submission_id=message.submission_id)

    async def _add_ended_activity(self, event: HistoryEvent, workflow: _Workflow, activities: Activities) -> None:
        """Add the end of an activity if it concerns this sign-in. In a mailbox, only mails and results do."""
        activity = activities.ended(event)
        if activity is None:
            return

        if activity.name == "publish_result_activity":
            await self._add_publication(event, workflow, activity)
        elif activity.name == "send_email_activity":
            await self._add_mail(event, workflow, activity)
        elif workflow == "request":
            self._add_end(event, workflow, activity)

    async def _add_mail(self, event: HistoryEvent, workflow: _Workflow, activity: EndedActivity) -> None:
        mail = await self._decoded(activity.input, MailToSend)
        if mail.signin_id == self._signin_id:
            self._local_results.add_mail(mail.attempt)
            self._add_end(event, workflow, activity, attempt=mail.attempt)

    def _add_end(
        self, event: HistoryEvent, workflow: _Workflow, activity: EndedActivity | LocalActivity, **details: int
    ) -> None:
        tries = {"tries": activity.tries} if activity.tries > 1 else {}

        if activity.error is None:
            self._add(event, workflow, f"{activity.name} done", **tries, **details)
        else:
            self._add(event, workflow, f"{activity.name} failed", error=activity.error, **tries, **details)

    async def _add_publication(self, event: HistoryEvent, workflow: _Workflow, activity: EndedActivity) -> None:
        publication = await self._decoded(activity.input, Publication)

        for published in publication.events:
            if published.result.signin_id == self._signin_id:
                self._add_result(event, workflow, published, activity.tries)

    def _add_result(self, event: HistoryEvent, workflow: _Workflow, published: ResultEvent, tries: int) -> None:
        result = published.result
        members = {name: getattr(result, name, None) for name in _RESULT_DETAILS}
        details: dict[str, str | int] = {name: value for name, value in members.items() if value is not None}
        details |= {"tries": tries} if tries > 1 else {}

        what = f"decided {result.type}"
        self._events.append(TraceEvent(at=result.occurred_at, where=workflow, what=what, details=details))
        self._add(event, "Kafka", f"published {result.type}", event_id=published.event_id)

        if result.type in TERMINAL_TYPES:
            self._outcome = result.type

    async def _add_local_publication(self, event: HistoryEvent) -> None:
        """Note what a local activity published. Another run may hold the submission that it answers."""
        activity = local_activity(event)
        if activity is None or activity.name != "publish_result_activity" or activity.error:
            return

        payloads = event.marker_recorded_event_attributes.details["result"].payloads
        published = await self._decoded(payloads, Published)
        self._local_publications.append((event, published.event_ids))

    def _add_local_results(self) -> None:
        for event, event_ids in self._local_publications:
            for result in self._local_results.among(event_ids):
                self._add(event, "mailbox", f"decided {result.type}", **result.details)
                self._add(event, "Kafka", f"published {result.type}", event_id=result.event_id)
                if result.type in TERMINAL_TYPES:
                    self._outcome = result.type

    async def _decoded(self, payloads: Sequence[Payload], model: type[_Model]) -> _Model:
        return await read_first(self._client.data_converter, payloads, model)

    def _add(self, event: HistoryEvent, where: _Where, what: str, **details: str | int) -> None:
        self._events.append(TraceEvent(at=event_time(event), where=where, what=what, details=details))


def _in_order(events: Sequence[TraceEvent]) -> tuple[TraceEvent, ...]:
    return tuple(sorted(events, key=lambda event: event.at))
