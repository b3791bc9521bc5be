"""One run of a mailbox's workflow, driven workflow task by workflow task, without a server.

It delivers what Temporal's SDK delivers: the signals of a task first, then the ends of activities and
timers, whatever their order in history. And it can lose a task: the worker dies before the task
completes, so history does not hold it, but what its local activities published is published.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel
from temporalio.bridge.proto.workflow_activation import (
    DoUpdate,
    FireTimer,
    SignalWorkflow,
    WorkflowActivationJob,
)
from temporalio.bridge.proto.workflow_commands import ScheduleActivity, ScheduleLocalActivity
from temporalio.exceptions import ApplicationError, CancelledError, TimeoutError, TimeoutType

from schemas.mailbox import MailboxInput, MailboxState
from schemas.policy import Policy
from schemas.results import ResultEvent
from schemas.tasks import CodeToVerify, MailToSend, Publication, Published
from tests.fakes.driven_work import PUBLISH, DrivenWork
from tests.fakes.workflow_instances import from_payload, to_payload
from tests.fakes.workflow_runs import Run, ended_activity

SEND: Final = "send_email_activity"
VERIFY: Final = "verify_otp_activity"

_INPUTS: Final[dict[str, type[BaseModel]]] = {
    PUBLISH: Publication,
    SEND: MailToSend,
    VERIFY: CodeToVerify,
}

Command = Any
Job = WorkflowActivationJob


@dataclass
class Scheduled:
    """A normal activity that has not ended."""

    seq: int
    name: str
    task: Any


@dataclass
class Try:
    """One try of a workflow task: what it was told, and what became of it."""

    activations: list[tuple[datetime, list[Job]]] = field(default_factory=list)
    published: list[ResultEvent] = field(default_factory=list)
    scheduled: list[Scheduled] = field(default_factory=list)
    timers: dict[int, datetime] = field(default_factory=dict)
    cancelled: list[int] = field(default_factory=list)
    cancelled_activities: list[int] = field(default_factory=list)
    has_ended: bool = False
    carried: MailboxState | None = None


class MailboxRun:
    """The run, its history, and a worker for it.

    ``published`` is what Kafka has, in order. ``activities`` are under way.
    """

    def __init__(self, now: datetime, policy: Policy | None = None, *, single_batch: bool = False) -> None:
        self.now = now
        self.published: list[ResultEvent] = []
        self.activities: dict[int, Scheduled] = {}
        self.timers: dict[int, datetime] = {}
        self.has_ended = False

        self._started_at = now
        self._single_batch = single_batch
        self._recorded: list[tuple[datetime, list[Job]]] = []
        self._input = MailboxInput(policy=policy or Policy())
        self._events: list[Job] = [*self._new_run().pending]

    # What history gains

    def signal(self, name: str, message: BaseModel) -> None:
        """Add a signal."""
        self._events.append(
            Job(signal_workflow=SignalWorkflow(signal_name=name, input=[to_payload(message)], originating_event_id=1))
        )

    def update(self, name: str, message: BaseModel) -> None:
        """Add an update, which the server keeps in its memory until a task has completed."""
        update = DoUpdate(id="u", protocol_instance_id="u", name=name, input=[to_payload(message)])
        self._events.append(Job(do_update=update))

    def forget_updates(self) -> None:
        """Restart the server: what it kept in its memory is lost."""
        self._events = [job for job in self._events if not job.HasField("do_update")]

    def complete(self, activity: Scheduled, result: BaseModel) -> None:
        """End a normal activity well."""
        self._resolve(activity, result)

    def fail(self, activity: Scheduled, type: str, *details: str) -> None:
        """End a normal activity with an error."""
        self._resolve(activity, ApplicationError("failed", *details, type=type, non_retryable=True))

    def time_out(self, activity: Scheduled) -> None:
        """End a normal activity that no worker could do in the time it had."""
        cause = TimeoutError("timed out", type=TimeoutType.SCHEDULE_TO_CLOSE, last_heartbeat_details=[])
        self._resolve(activity, cause)

    def publish(self, activity: Scheduled) -> None:
        """Let Kafka acknowledge what a normal activity publishes."""
        self.published += activity.task.events
        self.complete(activity, _published(activity.task))

    def wait(self, seconds: float) -> None:
        """Let time pass, and timers fire."""
        self.now += timedelta(seconds=seconds)
        due = [seq for seq, fires_at in self.timers.items() if fires_at <= self.now]
        for seq in sorted(due, key=self.timers.__getitem__):
            del self.timers[seq]
            self._events.append(Job(fire_timer=FireTimer(seq=seq)))

    @property
    def has_news(self) -> bool:
        """Tell whether there is a workflow task to do."""
        return bool(self._events) and not self.has_ended

    def started(self, name: str) -> list[Scheduled]:
        """Return the normal activities of a type that are under way."""
        return [activity for activity in self.activities.values() if activity.name == name]

    # Workflow tasks

    def do_task(self, *, failing: Sequence[str] = ()) -> Try:
        """Do the workflow task that is due, and record it. ``failing``: which local activities fail."""
        done = self._try(failing)
        self._events = []
        self._recorded += done.activations
        self.published += done.published
        self.activities.update({activity.seq: activity for activity in done.scheduled})
        self.timers.update(done.timers)
        for seq in done.cancelled:
            self.timers.pop(seq, None)
        for seq in done.cancelled_activities:
            del self.activities[seq]
        self.has_ended = done.has_ended
        return done

    def lose_task(self, *, local: Callable[[Publication], bool] = lambda _: False) -> Try:
        """Do the workflow task that is due; the worker dies before it can complete it.

        ``local``: which normal publications this worker makes at once, as if they were local.
        """
        lost = self._try((), local)
        self.published += lost.published
        return lost

    def freeze_task(self) -> Callable[[], None]:
        """Do the workflow task that is due; the worker freezes before its local activities publish.

        Return what happens when it thaws. By then, its task is another's.
        """
        frozen = self._try(())

        def thaw() -> None:
            self.published += frozen.published

        return thaw

    def _try(
        self,
        failing: Sequence[str],
        local: Callable[[Publication], bool] = lambda _: False,
    ) -> Try:
        worker = self._replay()
        attempt = Try()
        jobs = list(self._events)

        while jobs:
            attempt.activations.append((self.now, jobs))
            commands = worker.activate(self.now, jobs)
            jobs = [job for command in commands for job in self._obey(command, attempt, failing, local)]

        worker.evict()
        return attempt

    def _obey(
        self,
        command: Command,
        attempt: Try,
        failing: Sequence[str],
        local: Callable[[Publication], bool],
    ) -> list[Job]:
        """Do what the workflow wants, and return what it is told at once."""
        kind = command.WhichOneof("variant")
        details = getattr(command, kind)

        match kind:
            case "schedule_local_activity":
                return [ended_activity(details.seq, self._run_locally(details, attempt, failing), is_local=True)]
            case "schedule_activity":
                scheduled = Scheduled(details.seq, details.activity_type, _task(details))
                if scheduled.name == PUBLISH and local(scheduled.task):
                    attempt.published += scheduled.task.events
                    return [ended_activity(details.seq, _published(scheduled.task))]
                attempt.scheduled.append(scheduled)
            case "start_timer":
                attempt.timers[details.seq] = self.now + details.start_to_fire_timeout.ToTimedelta()
            case "cancel_timer":
                attempt.cancelled.append(details.seq)
                attempt.timers.pop(details.seq, None)
            case "request_cancel_activity" if details.seq in self.activities:
                attempt.cancelled_activities.append(details.seq)
                return [ended_activity(details.seq, CancelledError("cancelled"))]
            case "continue_as_new_workflow_execution":
                attempt.carried = from_payload(details.arguments[0], MailboxInput).carried
            case "complete_workflow_execution" | "fail_workflow_execution":
                attempt.has_ended = True
        return []

    def _run_locally(
        self, details: ScheduleLocalActivity, attempt: Try, failing: Sequence[str]
    ) -> BaseModel | Exception:
        name = details.activity_type
        if name in failing:
            return ApplicationError("failed on purpose", type="Failed")

        work = DrivenWork()
        end = work.do(name, details.arguments[0], self.now)
        attempt.published += work.published
        return end

    def _new_run(self) -> Run:
        return Run(
            "mailbox/m",
            self._input,
            self._started_at,
            self._started_at,
            run_id=str(uuid.UUID(int=1)),
            single_batch=self._single_batch,
        )

    def _replay(self) -> Run:
        """Return the workflow as a worker has it that replayed what is recorded."""
        run = self._new_run()
        for at, jobs in self._recorded:
            run.activate(at, jobs)
        return run

    def _resolve(self, activity: Scheduled, end: BaseModel | Exception) -> None:
        del self.activities[activity.seq]
        self._events.append(ended_activity(activity.seq, end))


def _task(details: ScheduleActivity | ScheduleLocalActivity) -> Any:
    model = _INPUTS.get(details.activity_type)
    return None if model is None else from_payload(details.arguments[0], model)


def _published(publication: Publication) -> Published:
    return Published(event_ids=tuple(event.event_id for event in publication.events))
