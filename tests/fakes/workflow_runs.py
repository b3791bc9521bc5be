"""One run of a workflow, by default the mailbox's, activated by hand: what the SDK's core does with it."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import ResolveActivity, WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.common import TypedSearchAttributes
from temporalio.converter import DefaultFailureConverter
from temporalio.exceptions import CancelledError
from temporalio.workflow import _Definition

from schemas.mailbox import MailboxInput
from schemas.signals import SignInInput
from tests.fakes.workflow_instances import CONVERTER, Beginning, Instance, to_payload
from workflows.verify_otp import VerifyOTPWorkflow

SUGGESTED_EVENTS: Final = 4_096
"""A server suggests a new run from here on."""


def ended_activity(seq: int, end: BaseModel | Exception, *, is_local: bool = False) -> WorkflowActivationJob:
    """Return what tells the workflow that an activity has ended, well or with an error."""
    resolved = ResolveActivity(seq=seq, is_local=is_local)
    match end:
        case CancelledError():
            DefaultFailureConverter().to_failure(end, CONVERTER, resolved.result.cancelled.failure)
        case Exception():
            DefaultFailureConverter().to_failure(end, CONVERTER, resolved.result.failed.failure)
        case _:
            resolved.result.completed.result.CopyFrom(to_payload(end))

    return WorkflowActivationJob(resolve_activity=resolved)


@dataclass(eq=False)
class Run:
    """One run: how many events its history has, and which keys they are encrypted with.

    ``single_batch`` delivers as a later release of the SDK will: signals and the ends of activities
    before anything else runs. ``end`` is the last command of a run that has ended. ``pending`` waits for the next
    workflow task, which begins at ``busy_until`` at the earliest.
    """

    workflow_id: str
    content: MailboxInput | SignInInput
    started_at: datetime
    busy_until: datetime
    first_run_id: str = ""
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    workflow: type[Any] = VerifyOTPWorkflow
    single_batch: bool = False
    events: int = 1
    key_ids: set[str] = field(default_factory=set)
    ended_at: datetime | None = None
    end: str | None = None
    pending: list[WorkflowActivationJob] = field(default_factory=list)
    timers: set[int] = field(default_factory=set)
    activities: dict[int, tuple[str, Payload]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Create the workflow's instance, as a worker does when it sees the first task."""
        self.first_run_id = self.first_run_id or self.run_id
        beginning = Beginning(
            _Definition.must_from_class(self.workflow).name or "",
            to_payload(self.content),
            (self.workflow_id, self.run_id, self.first_run_id),
            self.started_at,
            TypedSearchAttributes([]),
            single_batch=self.single_batch,
        )
        self.pending.append(beginning.job)
        self._instance = Instance(beginning, self.workflow)

    def activate(self, now: datetime, jobs: list[WorkflowActivationJob]) -> list[WorkflowCommand]:
        """Give the workflow jobs, and return its commands."""
        completion = self.complete(now, jobs)
        assert not completion.HasField("failed"), completion.failed.failure.message
        return list(completion.successful.commands)

    def complete(self, now: datetime, jobs: list[WorkflowActivationJob]) -> WorkflowActivationCompletion:
        """Give the workflow jobs, and return how it dealt with them."""
        activation = WorkflowActivation(
            run_id=self.run_id,
            history_length=self.events,
            continue_as_new_suggested=self.events >= SUGGESTED_EVENTS,
            jobs=jobs,
        )
        activation.timestamp.FromDatetime(now)
        return self._instance.complete(activation)

    def evict(self) -> None:
        """Drop the workflow's tasks, as a worker does whose cache is full."""
        self._instance.evict()
