"""One normal activity: its tries, their timeouts, and its end."""

from typing import TYPE_CHECKING

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import RetryState
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.workflow_activation import ResolveActivity
from temporalio.bridge.proto.workflow_commands import ScheduleActivity

from tests.simulation.workflows.agenda import Entry
from tests.simulation.workflows.failures import SCHEDULE_TO_CLOSE, START_TO_CLOSE, is_final, of_activity, timed_out
from tests.fakes.workflow_instances import Job
from tests.simulation.workflows.runs import Run

if TYPE_CHECKING:
    from tests.simulation.workflows.temporal_model import Temporal
    from tests.simulation.workflows.workers import Worker


class ActivityRun:
    """An activity from its command to its end, which history gains exactly once, whatever its tries do."""

    def __init__(self, temporal: "Temporal", run: Run, command: ScheduleActivity) -> None:
        self.run = run
        self.command = command
        self.kind = command.activity_type
        self.is_started = False

        self._temporal = temporal
        self._attempt = 0
        self._timeout: Entry | None = None
        self._last_failure: Failure | None = None
        self._limit_s = command.schedule_to_close_timeout.ToTimedelta().total_seconds()
        self._ends_at = temporal.agenda.now + self._limit_s if self._limit_s else None
        self._final = frozenset(command.retry_policy.non_retryable_error_types)
        self._limit: Entry | None = None
        if self._limit_s:
            self._limit = temporal.agenda.later(self._limit_s, self._give_up)
        temporal.offer_activity(self, temporal.pauses.before_activity(self.kind))

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or its run has."""
        return self.run.activities.get(self.command.seq) is not self

    def start_on(self, worker: "Worker") -> None:
        """Try it on a worker. It may do its work though its answer comes too late, or never."""
        if self.is_over or self.is_started:
            return

        self.is_started = True
        self._attempt += 1
        attempt = self._attempt
        began_at = self._temporal.agenda.now
        try_s = self.command.start_to_close_timeout.ToTimedelta().total_seconds()
        self._timeout = self._temporal.agenda.later(try_s, self._time_out)

        def do() -> None:
            end = worker.execute(self.kind, self.command.arguments[0], self.run, attempt=attempt, began_at=began_at)
            if self._temporal.pauses.loses_answer():
                self._temporal.story.add("answer of an activity lost", self.kind)
            else:
                worker.later(self._temporal.pauses.small(), lambda: self._end_try(attempt, end))

        worker.later(self._temporal.pauses.work(self.kind), do)

    def cancel(self) -> None:
        """End it, because the workflow wants that. A try that has begun goes on unheard."""
        self._close()

    def _end_try(self, attempt: int, end: Payload | Failure) -> None:
        if self.is_over or not self.is_started or attempt != self._attempt:
            return

        if isinstance(end, Payload):
            self._temporal.answered(self, end)
            self._close()
            resolved = ResolveActivity(seq=self.command.seq)
            resolved.result.completed.result.CopyFrom(end)
            self._temporal.add_event(self.run, Job(resolve_activity=resolved), events=2)
        else:
            self._fail(end)

    def _time_out(self) -> None:
        if not self.is_over and self.is_started:
            self._temporal.story.add("activity timed out", self.kind)
            self._fail(timed_out(START_TO_CLOSE))

    def _fail(self, failure: Failure) -> None:
        """Try again after a pause, if the workflow's options allow it."""
        self.is_started = False
        self._last_failure = failure
        if self._timeout is not None:
            self._timeout.cancel()

        policy = self.command.retry_policy
        pause_s = policy.initial_interval.ToTimedelta().total_seconds() or 1.0
        pause_s *= (policy.backoff_coefficient or 2.0) ** (self._attempt - 1)
        longest_s = policy.maximum_interval.ToTimedelta().total_seconds()
        pause_s = min(pause_s, longest_s or 100 * pause_s)

        if is_final(failure, self._final):
            self._end_badly(failure, RetryState.RETRY_STATE_NON_RETRYABLE_FAILURE)
        elif policy.maximum_attempts and self._attempt >= policy.maximum_attempts:
            self._end_badly(failure, RetryState.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED)
        elif self._ends_at is not None and self._temporal.agenda.now + pause_s >= self._ends_at:
            self._end_badly(failure, RetryState.RETRY_STATE_TIMEOUT)
        else:
            self._temporal.offer_activity(self, pause_s)

    def _give_up(self) -> None:
        if not self.is_over:
            self._temporal.story.add("activity given up", self.kind)
            self._end_badly(timed_out(SCHEDULE_TO_CLOSE), RetryState.RETRY_STATE_TIMEOUT)

    def _end_badly(self, failure: Failure, state: "RetryState.ValueType") -> None:
        self._close()
        resolved = ResolveActivity(seq=self.command.seq)
        resolved.result.failed.failure.CopyFrom(of_activity(self.kind, failure, state))
        self._temporal.add_event(self.run, Job(resolve_activity=resolved), events=2)

    def _close(self) -> None:
        for entry in (self._timeout, self._limit):
            if entry is not None:
                entry.cancel()
        self.run.activities.pop(self.command.seq, None)
