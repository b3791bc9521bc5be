"""One run of a workflow, as the server has it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.common import TypedSearchAttributes

from tests.simulation.workflows.agenda import Entry
from tests.fakes.workflow_instances import Beginning, Instance, Job
from workflows import inbox
from workflows.rules import outbox

if TYPE_CHECKING:
    from tests.simulation.workflows.activity_runs import ActivityRun
    from tests.simulation.workflows.tasks import Task
    from tests.simulation.workflows.workers import Worker


_LAST_JOBS_S: Final = 25.0
"""What a full run may take to publish, and to hand a backlog over, and a bit more."""
_MAX_AGE_S: Final = 26 * 3_600.0
"""A run hands over after a day, at rest, or an hour later."""
_MAX_LATE_TASKS: Final = 10


class Step(NamedTuple):
    """One activation, and the commands that came of it, as bytes."""

    activation: WorkflowActivation
    commands: tuple[bytes, ...]


class NotDeterministic(Exception):
    """Raised when a run, replayed, does something else than its history says."""


@dataclass(eq=False)
class Run:
    """A run, its history, and what it waits for.

    ``length`` counts the events of its history. ``pending`` is what the next workflow task will tell; ``steps`` what
    completed tasks told. ``outcome`` is how it ended, None while it is open. ``release`` is the one that it is pinned
    to.
    """

    beginning: Beginning
    release: str | None
    length: int = 1
    pending: list[Job] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    task: "Task | None" = None
    task_is_due: bool = False
    attempt: int = 0
    timers: dict[int, Entry] = field(default_factory=dict)
    activities: "dict[int, ActivityRun]" = field(default_factory=dict)
    attributes: TypedSearchAttributes = field(default_factory=lambda: TypedSearchAttributes([]))
    sticky: "Worker | None" = None
    end: str | None = None
    began_at: float = 0.0
    ended_at: float = 0.0
    last_task_at: float = 0.0
    last_task_began_at: float = 0.0
    task_before_began_at: float = 0.0
    full_at: float | None = None
    late_tasks: int = 0
    result: Payload | None = None

    @property
    def workflow_id(self) -> str:
        """The workflow's id."""
        return self.beginning.workflow_id

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.end is None

    def goes_on_too_long(self, now: float, *, is_full: bool) -> bool:
        """Tell whether the run has had ten tasks more than it should, because it is full or old.

        Where signals are read one by one, or results leave it few at a time, it may need as many.
        """
        if self.full_at is None and is_full:
            self.full_at = now
        is_overdue = self.full_at is not None and now - self.full_at > _LAST_JOBS_S
        self.late_tasks += is_overdue or now - self.began_at > _MAX_AGE_S
        needs_few = min(inbox.MAX_SIGNALS_PER_BATCH, outbox.MAX_OVERFLOW_RESULTS) > _MAX_LATE_TASKS
        return self.late_tasks == _MAX_LATE_TASKS and needs_few

    def replayed(self, workflow: type[Any], length: int | None = None) -> Instance:
        """Return an instance that was told everything again, or the first ``length`` steps.

        Raises ``NotDeterministic``.
        """
        instance = Instance(self.beginning, workflow)
        for number, step in enumerate(self.steps[:length], 1):
            commands = as_bytes(instance.activate(step.activation))
            if commands != step.commands:
                instance.evict()
                raise NotDeterministic(f"{self.workflow_id}: activation {number} of {len(self.steps)}")

        return instance


def as_bytes(commands: Sequence[WorkflowCommand]) -> tuple[bytes, ...]:
    """Return commands in a form that can be compared."""
    return tuple(command.SerializeToString(deterministic=True) for command in commands)
