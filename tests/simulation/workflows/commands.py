"""What the server does for the commands of a workflow task."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from temporalio.api.common.v1 import SearchAttributes as EncodedAttributes
from temporalio.common import TypedSearchAttributes
from temporalio.converter import decode_typed_search_attributes

from tests.simulation.workflows.activity_runs import ActivityRun
from tests.fakes.workflow_instances import Job
from tests.simulation.workflows.runs import Run

if TYPE_CHECKING:
    from tests.simulation.workflows.temporal_model import Temporal


def apply(temporal: "Temporal", run: Run, command: Any) -> None:
    """Write a command's event, and do what it asks for."""
    kind = command.WhichOneof("variant")
    run.length += 1
    match kind:
        case "start_timer":
            _start_timer(temporal, run, command.start_timer)
        case "cancel_timer":
            _cancel_timer(temporal, run, command.cancel_timer.seq)
        case "schedule_activity":
            activity = command.schedule_activity
            run.activities[activity.seq] = ActivityRun(temporal, run, activity)
        case "request_cancel_activity":
            _cancel_activity(temporal, run, command.request_cancel_activity.seq)
        case "upsert_workflow_search_attributes":
            _upsert(temporal, run, command.upsert_workflow_search_attributes.search_attributes)
        case "start_child_workflow_execution":
            _start_child(temporal, run, command.start_child_workflow_execution)
        case "update_response":
            pass
        case _:
            _end_run(temporal, run, kind, command)


def in_order(commands: Sequence[Any]) -> list[Any]:
    """Return the commands of a task as the SDK's core sends them: what ends the run comes last."""
    return sorted(commands, key=ends_run)


def ends_run(command: Any) -> bool:
    """Tell whether a command ends its run."""
    kind = str(command.WhichOneof("variant"))
    return kind.endswith("_workflow_execution") and kind != "start_child_workflow_execution"


def _start_timer(temporal: "Temporal", run: Run, timer: Any) -> None:
    def fire() -> None:
        if run.timers.pop(timer.seq, None):
            temporal.add_event(run, _fired(timer.seq))

    run.timers[timer.seq] = temporal.agenda.later(timer.start_to_fire_timeout.ToTimedelta().total_seconds(), fire)


def _cancel_timer(temporal: "Temporal", run: Run, seq: int) -> None:
    entry = run.timers.pop(seq, None)
    if entry is not None:
        entry.cancel()
    run.pending = [job for job in run.pending if job.fire_timer.seq != seq]


def _cancel_activity(temporal: "Temporal", run: Run, seq: int) -> None:
    """Cancel an activity. If it has ended meanwhile, the workflow is not told: it knows it as cancelled."""
    activity = run.activities.get(seq)
    if activity is not None:
        temporal.story.add("activity cancelled", activity.kind)
        activity.cancel()
    run.pending = [job for job in run.pending if job.resolve_activity.seq != seq]


def _upsert(temporal: "Temporal", run: Run, encoded: EncodedAttributes) -> None:
    changed = decode_typed_search_attributes(encoded)
    names = set(encoded.indexed_fields)
    kept = [pair for pair in run.attributes if pair.key.name not in names]
    run.attributes = TypedSearchAttributes([*kept, *changed])


def _start_child(temporal: "Temporal", run: Run, child: Any) -> None:
    temporal.story.add("child started", child.workflow_id)
    began = temporal.begin_run(child.workflow_type, child.workflow_id, child.input[0], TypedSearchAttributes([]))
    began.release = run.release
    answer = Job()
    answer.resolve_child_workflow_execution_start.seq = child.seq
    answer.resolve_child_workflow_execution_start.succeeded.run_id = began.beginning.run_id
    temporal.soon(lambda: temporal.add_event(run, answer))


def _end_run(temporal: "Temporal", run: Run, kind: str, command: Any) -> None:
    run.end = kind
    run.ended_at = temporal.agenda.now
    run.task_is_due = False
    for entry in run.timers.values():
        entry.cancel()
    for activity in list(run.activities.values()):
        activity.cancel()
    for worker in temporal.workers:
        worker.drop(run)

    temporal.story.add(kind.removesuffix("_workflow_execution").replace("_", " "), run.workflow_id)
    match kind:
        case "complete_workflow_execution":
            run.result = command.complete_workflow_execution.result
        case "continue_as_new_workflow_execution":
            (content,) = command.continue_as_new_workflow_execution.arguments
            beginning = run.beginning
            temporal.begin_run(beginning.kind, run.workflow_id, content, run.attributes, beginning.first_run_id)
        case _:
            temporal.accuse(f"{run.workflow_id}: a run ended by {kind}")


def _fired(seq: int) -> Job:
    job = Job()
    job.fire_timer.seq = seq
    return job
