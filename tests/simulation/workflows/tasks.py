"""One try of a workflow task, on one worker."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.workflow_activation import ResolveActivity, WorkflowActivation
from temporalio.bridge.proto.workflow_commands import ScheduleLocalActivity, WorkflowCommand

from tests.simulation.workflows.commands import ends_run
from tests.simulation.workflows.failures import cancelled_activity, timed_out_locally
from tests.fakes.workflow_instances import Instance, Job, TaskFailed
from tests.simulation.workflows.runs import NotDeterministic, Run, Step, as_bytes
from workflows import run_limits

if TYPE_CHECKING:
    from tests.simulation.workflows.temporal_model import Temporal
    from tests.simulation.workflows.workers import Worker

SUGGESTED_EVENTS: Final = 4_096
"""A server suggests a new run from here on."""

TIMEOUT_S: Final = 10.0
_LOCAL_TIMEOUT_S: Final = 1.0
_BATCH_WITHIN_S: Final = 0.0005


class Task:
    """A try: it tells the workflow what is new, runs its local activities, and completes.

    A worker that froze before it began does so with what the server told it then.
    ``told`` events of ``run.pending`` are told. ``is_over``: it has ended, or its worker or the server gave it up.
    """

    def __init__(self, temporal: "Temporal", run: Run, worker: "Worker") -> None:
        self.run = run
        self.worker = worker
        self.told = len(run.pending)
        self._history = len(run.steps)
        self._news = list(run.pending)
        self.steps: list[Step] = []
        self.commands: list[WorkflowCommand] = []
        self.markers = 0
        self.is_over = False
        self.began_at = temporal.agenda.now

        self._temporal = temporal
        self._length = run.length + 2
        self._version_has_changed = temporal.is_outdated(run)
        self._instance: Instance | None = None
        self._time = temporal.agenda.datetime()
        self._locals: dict[int, datetime] = {}
        self._answers: list[Job] = []

    @property
    def is_full(self) -> bool:
        """Whether its run had so many events when it began that the run must end soon."""
        return self._length >= run_limits.LAST_EVENTS

    def begin(self) -> None:
        """Tell the workflow what is new."""
        if self.is_over:
            return

        run = self.run
        cached = self.worker.cache.pop(run, None)
        try:
            if cached is None:
                self._temporal.story.add("run replayed" if self._history else "run begins on a worker", run.workflow_id)
                cached = run.replayed(self.worker.workflows[run.beginning.kind], self._history)
        except (NotDeterministic, TaskFailed) as error:
            self._temporal.accuse(f"not deterministic: {error}")
            return

        self._instance = cached
        self.worker.cache[run] = cached
        self._activate(self._news)

    def give_up(self) -> None:
        """Forget what the workflow was told: the task will be done again, from the start of its history."""
        self.is_over = True
        instance = self._instance
        if instance is not None and self.worker.cache.get(self.run) is instance:
            del self.worker.cache[self.run]
            instance.evict()

    def _activate(self, jobs: Sequence[Job]) -> None:
        activation = WorkflowActivation(
            run_id=self.run.beginning.run_id,
            history_length=self._length,
            continue_as_new_suggested=self._length >= SUGGESTED_EVENTS,
            target_worker_deployment_version_changed=self._version_has_changed,
            available_internal_flags=sorted(self.run.beginning.flags),
            jobs=jobs,
        )
        activation.timestamp.FromDatetime(self._time)
        assert self._instance is not None

        try:
            commands = self._instance.activate(activation)
        except TaskFailed as error:
            self._temporal.task_failed(self, str(error))
            return

        activation.is_replaying = True
        self.steps.append(Step(activation, as_bytes(commands)))
        for command in commands:
            self._obey(command)
        if any(ends_run(command) for command in self.commands):  # the core waits for nothing any more
            self._locals = {}
            self._answers = []
        if not self._locals and not self._answers:
            self.worker.later(self._temporal.pauses.small(), self._complete)

    def _obey(self, command: WorkflowCommand) -> None:
        match command.WhichOneof("variant"):
            case "schedule_local_activity":
                self._run_locally(command.schedule_local_activity)
            case "request_cancel_activity":
                self._cancel(command)
            case _:
                self.commands.append(command)

    def _cancel(self, command: WorkflowCommand) -> None:
        """Cancel an activity, and tell the workflow so at once. One that is not scheduled yet never will be."""
        seq = command.request_cancel_activity.seq
        others = [one for one in self.commands if one.schedule_activity.seq != seq]
        if len(others) == len(self.commands):
            self.commands.append(command)
        else:
            self.commands = others

        self._answer(Job(resolve_activity=ResolveActivity(seq=seq, result=cancelled_activity())))

    def _run_locally(self, activity: ScheduleLocalActivity) -> None:
        """Run a local activity. It may take longer than it has, and do its work all the same."""
        self._locals[activity.seq] = self._time
        took_s = self._temporal.pauses.local()
        worker = self.worker

        def do() -> None:
            end = worker.execute(activity.activity_type, activity.arguments[0], self.run, is_local=True)
            self._temporal.story.add(f"local {activity.activity_type.removesuffix('_activity')}")
            worker.later(self._temporal.pauses.small(), lambda: self._end_local(activity.seq, end, took_s))

        def begin() -> None:
            frozen_s = self._temporal.pauses.frozen_before_local()
            if frozen_s:
                worker.freeze()
                self._temporal.agenda.later(frozen_s, worker.thaw)
                worker.later(0.0, do)
            else:
                do()

        worker.later(took_s, begin)
        worker.later(_LOCAL_TIMEOUT_S, lambda: self._end_local(activity.seq, timed_out_locally(), _LOCAL_TIMEOUT_S))

    def _end_local(self, seq: int, end: Payload | Failure, took_s: float) -> None:
        if self.is_over or seq not in self._locals:
            return

        began_at = self._locals.pop(seq)
        self._time = max(self._time, began_at + timedelta(seconds=round(took_s, 6)))
        self.markers += 1
        resolved = ResolveActivity(seq=seq, is_local=True)
        if isinstance(end, Failure):
            resolved.result.failed.failure.CopyFrom(end)
        else:
            resolved.result.completed.result.CopyFrom(end)
        self._answer(Job(resolve_activity=resolved))

    def _answer(self, job: Job) -> None:
        """Tell the workflow what has ended meanwhile, several together if they end together."""
        self._answers.append(job)
        if len(self._answers) == 1:
            self.worker.later(_BATCH_WITHIN_S, self._tell_answers)

    def _tell_answers(self) -> None:
        if self.is_over or not self._answers:
            return

        answers = self._answers
        self._answers = []
        self._activate(answers)

    def _complete(self) -> None:
        if self.is_over:
            return
        if self._temporal.befalls(self.worker):
            self.worker.later(0.0, self._answer_server)
        else:
            self._answer_server()

    def _answer_server(self) -> None:
        if not self.is_over:
            self._temporal.task_completed(self)
