"""The real mailbox workflow on a clock of its own.

Plays the server, the worker and its activities, as far as a mailbox can tell: weeks pass in
seconds, and every event that a server would write is counted.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from temporalio.bridge.proto.workflow_activation import (
    DoUpdate,
    FireTimer,
    QueryWorkflow,
    ResolveChildWorkflowExecutionStart,
    SignalWorkflow,
    WorkflowActivationJob,
)
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.exceptions import ApplicationError, CancelledError

from schemas.limits import Clearing, LimitsQuery, LimitsReport
from schemas.mailbox import MailboxInput
from schemas.policy import Policy
from schemas.results import ResultEvent
from schemas.signals import Challenge, Refusal, Submission
from tests.fakes.driven_work import PUBLISH, DrivenWork
from tests.fakes.mailbox_world import START
from tests.fakes.workflow_instances import from_payload, to_payload
from tests.fakes.workflow_runs import Run, ended_activity
from workflows.names import (
    CLEAR_LIMITS_UPDATE,
    LIMITS_QUERY,
    OPEN_OR_RESEND_SIGNAL,
    REFUSE_RESEND_SIGNAL,
    SUBMIT_SIGNAL,
)

_MAILBOX_ID: Final = "mailbox/driven"
_SIGNALS: Final = {
    Challenge: OPEN_OR_RESEND_SIGNAL,
    Refusal: REFUSE_RESEND_SIGNAL,
    Submission: SUBMIT_SIGNAL,
}
_TASK: Final = timedelta(milliseconds=5)

Signal = Challenge | Refusal | Submission


class DrivenMailbox:
    """One mailbox, and the workflows that it starts: ``runs``, in the order of their start.

    A seal is right if it equals ``RIGHT``. ``newest_key`` encrypts what is written;
    ``on_task`` is called before each workflow task. Activities of the types in ``endless`` do not
    end. ``DrivenWork`` tells of the seconds.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        publish_s: float = 0.02,
        mail_s: float = 0.1,
        first_mail_s: float = 0.1,
    ) -> None:
        self.policy = policy or Policy()
        self.now = START
        self.runs: list[Run] = []
        self.newest_key = "k1"
        self.on_task: Callable[[Run], None] = lambda _: None
        self.endless = set[str]()

        self._work = DrivenWork(publish_s=publish_s, mail_s=mail_s, first_mail_s=first_mail_s)
        self._kafka_is_down = False
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    # What others do

    def signal(self, message: Signal) -> None:
        """Signal the mailbox, and start it if need be."""
        run = self.open_run or self._start(_MAILBOX_ID, MailboxInput(policy=self.policy))
        name = _SIGNALS[type(message)]
        signal = SignalWorkflow(signal_name=name, input=[to_payload(message)], originating_event_id=run.events + 1)
        self._add_event(run, WorkflowActivationJob(signal_workflow=signal))

    def clear_limits(self, clearing: Clearing) -> None:
        """Update the open run: clear budgets."""
        run = self.open_run
        assert run is not None, "the mailbox has ended"

        update = DoUpdate(
            id="u",
            protocol_instance_id="u",
            name=CLEAR_LIMITS_UPDATE,
            input=[to_payload(clearing)],
        )
        self._add_event(run, WorkflowActivationJob(do_update=update))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + timedelta(seconds=seconds)
        while self._due and self._due[0][0] <= until:
            self.now, _, act = heapq.heappop(self._due)
            act()
        self.now = until

    def stop_kafka(self) -> None:
        """Let no publication end."""
        self._kafka_is_down = True

    def start_kafka(self) -> None:
        """Let the publications that wait, and further ones, succeed."""
        self._kafka_is_down = False
        for run in self.runs:
            for seq, (kind, _) in list(run.activities.items()):
                if kind == PUBLISH:
                    self._later(timedelta(), self._finisher(run, seq))

    def close(self) -> None:
        """Drop the runs that are open."""
        for run in self.runs:
            if run.end is None:
                run.evict()

    # What others see

    @property
    def open_run(self) -> Run | None:
        """The mailbox's own run, if it is open."""
        own = (run for run in reversed(self.runs) if run.workflow_id == _MAILBOX_ID)
        newest = next(own, None)
        return newest if newest is not None and newest.end is None else None

    @property
    def published(self) -> list[ResultEvent]:
        """What Kafka has taken."""
        return self._work.published

    @property
    def mails(self) -> int:
        """How many mails the mail server has accepted."""
        return self._work.mails

    def limits(self, account: str) -> LimitsReport:
        """Ask the open run what is spent."""
        run = self.open_run
        assert run is not None, "the mailbox has ended"

        arguments = [to_payload(LimitsQuery(account=account, as_of=self.now))]
        query = QueryWorkflow(query_id="q", query_type=LIMITS_QUERY, arguments=arguments)
        (answer,) = run.activate(self.now, [WorkflowActivationJob(query_workflow=query)])
        report: LimitsReport = from_payload(answer.respond_to_query.succeeded.response, LimitsReport)
        return report

    # The server

    def _start(self, workflow_id: str, content: MailboxInput, first_run_id: str = "") -> Run:
        run = Run(workflow_id, content, self.now, self.now, first_run_id, key_ids={self.newest_key})
        self.runs.append(run)
        self._later(timedelta(), lambda: self._run_task(run))
        return run

    def _add_event(self, run: Run, job: WorkflowActivationJob, events: int = 1) -> None:
        """Write events, and schedule a workflow task unless one is scheduled."""
        run.events += events
        run.key_ids.add(self.newest_key)
        run.pending.append(job)
        if len(run.pending) == 1:
            self._later(run.busy_until - self.now, lambda: self._run_task(run))

    def _later(self, pause: timedelta, act: Callable[[], None]) -> None:
        due_at = max(self.now, self.now + pause)
        heapq.heappush(self._due, (due_at, next(self._numbers), act))

    # The worker

    def _run_task(self, run: Run) -> None:
        """Do a workflow task with everything that came in since the last one."""
        if run.end is not None:
            return

        self.on_task(run)
        run.busy_until = self.now + _TASK
        run.events += 3  # the task is scheduled, started, completed
        jobs = list(run.pending)
        run.pending.clear()

        while jobs and run.end is None:
            commands = run.activate(self.now, jobs)
            jobs = [job for command in commands for job in self._apply(run, command)]

        if run.end is not None:
            run.ended_at = self.now
            run.evict()

    def _apply(self, run: Run, command: WorkflowCommand) -> Iterator[WorkflowActivationJob]:
        """Write a command's event, and yield what comes of it within the same task."""
        run.events += 1
        run.key_ids.add(self.newest_key)

        match command.WhichOneof("variant"):
            case "start_timer":
                self._start_timer(run, command)
            case "cancel_timer":
                run.timers.discard(command.cancel_timer.seq)
            case "schedule_local_activity":
                yield self._run_local_activity(run, command)
            case "schedule_activity":
                self._schedule_activity(run, command)
            case "request_cancel_activity":
                yield from self._cancel_activity(run, command.request_cancel_activity.seq)
            case "start_child_workflow_execution":
                self._start_child(run, command)
            case "update_response":
                pass
            case "continue_as_new_workflow_execution" as end:
                run.end = end
                (payload,) = command.continue_as_new_workflow_execution.arguments
                self._start(run.workflow_id, from_payload(payload, MailboxInput), run.first_run_id)
            case "complete_workflow_execution" as end:
                run.end = end
            case other:
                raise AssertionError(f"unexpected command {other}")

    def _start_timer(self, run: Run, command: WorkflowCommand) -> None:
        timer = command.start_timer
        run.timers.add(timer.seq)

        def fire() -> None:
            if run.end is None and timer.seq in run.timers:
                run.timers.discard(timer.seq)
                self._add_event(run, WorkflowActivationJob(fire_timer=FireTimer(seq=timer.seq)))

        self._later(timer.start_to_fire_timeout.ToTimedelta(), fire)

    def _start_child(self, run: Run, command: WorkflowCommand) -> None:
        child = command.start_child_workflow_execution
        started = self._start(child.workflow_id, from_payload(child.input[0], MailboxInput))
        answer = ResolveChildWorkflowExecutionStart(seq=child.seq)
        answer.succeeded.run_id = started.run_id
        job = WorkflowActivationJob(resolve_child_workflow_execution_start=answer)
        self._later(_TASK, lambda: self._add_event(run, job))

    # Activities

    def _run_local_activity(self, run: Run, command: WorkflowCommand) -> WorkflowActivationJob:
        activity = command.schedule_local_activity
        if activity.activity_type == PUBLISH and self._kafka_is_down:
            error = ApplicationError("away", type="PublishUnavailable")
            return ended_activity(activity.seq, error, is_local=True)

        end = self._work.do(activity.activity_type, activity.arguments[0], self.now)
        return ended_activity(activity.seq, end, is_local=True)

    def _schedule_activity(self, run: Run, command: WorkflowCommand) -> None:
        activity = command.schedule_activity
        kind = activity.activity_type
        run.activities[activity.seq] = (kind, activity.arguments[0])

        is_endless = kind in self.endless or (kind == PUBLISH and self._kafka_is_down)
        if not is_endless:
            self._later(self._work.duration(activity), self._finisher(run, activity.seq))

    def _cancel_activity(self, run: Run, seq: int) -> Iterator[WorkflowActivationJob]:
        if run.activities.pop(seq, None):
            run.events += 1
            yield ended_activity(seq, CancelledError("cancelled"))

    def _finisher(self, run: Run, seq: int) -> Callable[[], None]:
        """Return what ends an activity, unless its run is over: started and completed."""

        def finish() -> None:
            if run.end is None and seq in run.activities:
                kind, task = run.activities.pop(seq)
                self._add_event(run, ended_activity(seq, self._work.do(kind, task, self.now)), events=2)

        return finish
