"""A model of Temporal's server: what it may do to workflows, and what it never does."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import DoUpdate, QueryWorkflow, SignalWorkflow, WorkflowActivation
from temporalio.common import TypedSearchAttributes

from tests.simulation.story import Story
from tests.simulation.workflows.activity_runs import ActivityRun
from tests.simulation.workflows.agenda import Agenda
from tests.simulation.workflows.commands import apply, ends_run, in_order
from tests.fakes.workflow_instances import Beginning, Job, TaskFailed
from tests.simulation.workflows.mood import Pauses
from tests.simulation.workflows.runs import NotDeterministic, Run
from tests.simulation.workflows.tasks import TIMEOUT_S, Task
from tests.simulation.workflows.workers import Worker

_FORGOTTEN_UPDATES: Final = 0.5
_STICKY_TIMEOUT_S: Final = 10.0


class Observer(Protocol):
    """Who is told of what the server sees."""

    def run_began(self, run: Run) -> None:
        """Take note of a run."""

    def signalled(self, run: Run, name: str, content: Payload) -> None:
        """Take note of a signal, in the order of history."""

    def answered(self, run: Run, kind: str, task: Payload, answer: Payload) -> None:
        """Take note of an activity that ended well, as history has it."""


class Temporal:
    """Starts runs, offers their tasks and activities to workers, and applies what they answer."""

    def __init__(self, agenda: Agenda, rng: random.Random, story: Story, observer: Observer) -> None:
        self.agenda = agenda
        self.story = story
        self.pauses = Pauses(rng)
        self.runs: list[Run] = []
        self.workers: list[Worker] = []
        self.current_release = "1"
        self.single_batch = False
        self.violations: list[str] = []
        self._rng = rng
        self._observer = observer
        self._newest: dict[str, Run] = {}
        self._waiting: list[Run | ActivityRun] = []

    # What clients do

    def newest_run(self, workflow_id: str) -> Run | None:
        """Return the newest run of a workflow."""
        return self._newest.get(workflow_id)

    def open_run(self, workflow_id: str) -> Run | None:
        """Return the open run of a workflow."""
        run = self._newest.get(workflow_id)
        return run if run is not None and run.is_open else None

    def start(
        self, kind: str, workflow_id: str, content: Payload, attributes: TypedSearchAttributes | None = None
    ) -> Run:
        """Start a workflow that does not run."""
        return self.begin_run(kind, workflow_id, content, attributes or TypedSearchAttributes([]))

    def signal(self, run: Run, name: str, content: Payload) -> None:
        """Signal an open run."""
        self._observer.signalled(run, name, content)
        self.story.add(f"signal {name}", run.workflow_id)
        signal = SignalWorkflow(signal_name=name, input=[content], originating_event_id=run.length + 1)
        self.add_event(run, Job(signal_workflow=signal))

    def update(self, run: Run, name: str, content: Payload) -> None:
        """Update an open run. Nobody waits for the answer."""
        self.story.add(f"update {name}", run.workflow_id)
        number = str(self._rng.getrandbits(32))
        update = DoUpdate(id=number, protocol_instance_id=number, name=name, input=[content])
        self.add_event(run, Job(do_update=update), events=0)

    def query(self, run: Run, name: str, arguments: list[Payload]) -> Payload | None:
        """Ask a run that no worker is busy with. A query must not change it."""
        workers = self._able(run)
        if run.task is not None or not run.steps or not workers:
            return None

        worker = run.sticky
        instance = worker.cache.get(run) if worker is not None and worker.is_alive else None
        is_cached = instance is not None
        if instance is None:
            instance = self._replayed(run, self._rng.choice(workers))
        if instance is None:
            return None

        job = Job(query_workflow=QueryWorkflow(query_id="q", query_type=name, arguments=arguments))
        activation = WorkflowActivation(run_id=run.beginning.run_id, history_length=run.length, jobs=[job])
        activation.timestamp.CopyFrom(run.steps[-1].activation.timestamp)
        (answer,) = instance.activate(activation)
        self.story.add(f"query {name}", run.workflow_id)
        if not is_cached:
            instance.evict()

        return answer.respond_to_query.succeeded.response

    # What workers do

    def hire(self, worker: Worker) -> None:
        """Take a worker, and offer it what nobody could do."""
        self.workers.append(worker)
        self.offer_again()

    def offer_again(self) -> None:
        """Offer what nobody could do."""
        waiting = self._waiting
        self._waiting = []
        for one in waiting:
            if isinstance(one, Run):
                self.soon(partial(self._offer_task, one))
            else:
                self.offer_activity(one, self.pauses.small())

    def task_completed(self, task: Task) -> None:
        """Take what a worker answers to a task, unless the task has timed out meanwhile."""
        run = task.run
        ends = any(ends_run(command) for command in task.commands)
        if run.task is not task:
            self.story.add("answer to a task came too late", run.workflow_id)
            task.give_up()
            return
        if ends and len(run.pending) > task.told:
            self.story.add("task done again: something came before its end", run.workflow_id)
            self._lose_task(task)
            return

        if not ends and run.goes_on_too_long(self.agenda.now, is_full=task.is_full):
            self.accuse(f"{run.workflow_id}: a run goes on, though it is full or old")
        run.task = None
        run.attempt = 0
        task.is_over = True
        run.last_task_at = self.agenda.now
        run.task_before_began_at, run.last_task_began_at = run.last_task_began_at, task.began_at
        run.release = run.release or task.worker.release
        run.length += 3 + task.markers
        run.pending = run.pending[task.told :]
        run.steps += task.steps
        run.sticky = task.worker
        del task.worker.tasks[run]
        self.story.add("workflow task", run.workflow_id)
        if run.length > 2 and self._rng.random() < self.pauses.mood.evictions:
            task.worker.drop(run)
        for command in in_order(task.commands):
            apply(self, run, command)
        if run.is_open and run.pending:
            self._schedule_task(run)

    def task_failed(self, task: Task, text: str) -> None:
        """Take note that the workflow failed its task. Nothing in a simulation may make it do so."""
        self.accuse(f"{task.run.workflow_id}: a workflow task failed: {text}")
        self._lose_task(task)

    def answered(self, activity: ActivityRun, answer: Payload) -> None:
        """Take note of an activity that ended well."""
        self._observer.answered(activity.run, activity.kind, activity.command.arguments[0], answer)

    def add_event(self, run: Run, job: Job, events: int = 1) -> None:
        """Write to an open run's history, and schedule a workflow task."""
        if run.is_open:
            run.length += events
            run.pending.append(job)
            self._schedule_task(run)

    def offer_activity(self, activity: ActivityRun, pause_s: float) -> None:
        """Let a worker do an activity, now or when there is one."""
        self.agenda.later(pause_s, lambda: self._offer_activity(activity))

    def is_outdated(self, run: Run) -> bool:
        """Tell whether another release than its own is to serve a run."""
        return run.release is not None and run.release != self.current_release

    def accuse(self, text: str) -> None:
        """Note a violation."""
        self.violations.append(text)
        self.story.add("VIOLATION", text)

    def befalls(self, worker: Worker) -> bool:
        """Tell whether a worker dies or freezes right now, just before it would complete a task."""
        if self._rng.random() < self.pauses.mood.crashes:
            worker.kill()
        if self._rng.random() < self.pauses.mood.freezes:
            worker.freeze()
            self.agenda.later(self._rng.choice((2.0, 9.0, 11.0, 40.0, 320.0)), worker.thaw)
        return worker.is_frozen

    # Tasks

    def begin_run(
        self, kind: str, workflow_id: str, content: Payload, attributes: TypedSearchAttributes, first_run_id: str = ""
    ) -> Run:
        """Begin a run, the first of a workflow or the one after another."""
        run_id = f"{self._rng.getrandbits(128):032x}"
        ids = (workflow_id, run_id, first_run_id or run_id)
        beginning = Beginning(kind, content, ids, self.agenda.datetime(), attributes, single_batch=self.single_batch)
        run = Run(beginning, None, attributes=attributes, began_at=self.agenda.now)
        run.pending.append(beginning.job)
        self.runs.append(run)
        self._newest[workflow_id] = run
        self._observer.run_began(run)
        self.story.add("run starts", workflow_id)
        self._schedule_task(run)

        return run

    def _schedule_task(self, run: Run) -> None:
        if run.task is None and not run.task_is_due:
            run.task_is_due = True
            self.soon(lambda: self._offer_task(run))

    def _offer_task(self, run: Run) -> None:
        """Give a task to the worker that has the run in its cache, or to another if that one is gone."""
        if not run.is_open or not run.task_is_due:
            return

        sticky = run.sticky
        run.sticky = None
        if sticky is not None and sticky.is_alive:
            self._start_task(run, sticky, is_cached=True)
        elif sticky is not None and self._rng.random() < 0.5:
            self.agenda.later(_STICKY_TIMEOUT_S, lambda: self._offer_task(run))
        elif workers := self._able(run):
            self._start_task(run, self._rng.choice(workers))
        else:
            self._waiting.append(run)

    def _start_task(self, run: Run, worker: Worker, *, is_cached: bool = False) -> None:
        run.task_is_due = False
        run.attempt += 1
        if run.attempt > 1:
            self.story.add("task done again", f"{run.workflow_id} attempt {run.attempt}")
        worker.take_over(run, keep=is_cached)
        task = Task(self, run, worker)
        worker.tasks[run] = task
        run.task = task
        self.agenda.later(TIMEOUT_S, lambda: self._time_out(task))
        worker.later(0.0, task.begin)

    def _time_out(self, task: Task) -> None:
        if task.run.task is task:
            self.story.add("task timed out", task.run.workflow_id)
            task.run.task = None
            self._schedule_again(task.run)

    def _lose_task(self, task: Task) -> None:
        task.give_up()
        if task.run.task is task:
            task.run.task = None
            self._schedule_again(task.run)

    def _schedule_again(self, run: Run) -> None:
        """Schedule a task that failed. History holds only the first failure, and no update that is not done."""
        if run.attempt == 1:
            run.length += 3
        rest = [job for job in run.pending if not job.HasField("do_update")]
        if rest != run.pending and self._rng.random() < _FORGOTTEN_UPDATES:
            self.story.add("update lost: the server was restarted", run.workflow_id)
            run.pending = rest
        if run.pending:
            self._schedule_task(run)

    def _replayed(self, run: Run, worker: Worker) -> Any:
        try:
            return run.replayed(worker.workflows[run.beginning.kind])
        except (NotDeterministic, TaskFailed) as error:
            self.accuse(f"not deterministic: {error}")
            return None

    def _able(self, run: Run) -> list[Worker]:
        """Return the workers that may serve a run: those of its release, or of the current one."""
        release = run.release or self.current_release
        return [one for one in self.workers if one.is_alive and one.release == release]

    def _offer_activity(self, activity: ActivityRun) -> None:
        if activity.is_over or activity.is_started:
            return

        workers = self._able(activity.run)
        if workers:
            activity.start_on(self._rng.choice(workers))
        else:
            self._waiting.append(activity)

    def soon(self, act: Callable[[], object]) -> None:
        """Do something after a small pause."""
        self.agenda.later(self.pauses.small(), act)
