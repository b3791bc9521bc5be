"""One run of a workflow, by default the mailbox's, activated by hand: what the SDK's core does with it."""

import asyncio
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.bridge.proto.workflow_activation import (
    InitializeWorkflow,
    RemoveFromCache,
    ResolveActivity,
    WorkflowActivation,
    WorkflowActivationJob,
)
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.common import Priority, TypedSearchAttributes
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DefaultFailureConverter
from temporalio.exceptions import CancelledError
from temporalio.worker import UnsandboxedWorkflowRunner
from temporalio.worker._workflow_instance import WorkflowInstance, WorkflowInstanceDetails, _WorkflowLogicFlag
from temporalio.workflow import Info, _Definition

from schemas.mailbox import MailboxInput
from schemas.signals import SignInInput
from workflows.verify_otp import VerifyOTPWorkflow

SUGGESTED_EVENTS: Final = 4_096
"""A server suggests a new run from here on."""

_SINGLE_BATCH: Final = frozenset({_WorkflowLogicFlag.PROCESS_WORKFLOW_ACTIVATION_JOBS_AS_SINGLE_BATCH})
_CONVERTER: Final = pydantic_data_converter.payload_converter


def to_payload(content: object) -> Payload:
    """Return the content as it stands in history."""
    return _CONVERTER.to_payload(content)


def from_payload(payload: Payload, kind: type[Any]) -> Any:
    """Return the content of a payload."""
    return _CONVERTER.from_payload(payload, kind)


def ended_activity(seq: int, end: BaseModel | Exception, *, is_local: bool = False) -> WorkflowActivationJob:
    """Return what tells the workflow that an activity has ended, well or with an error."""
    resolved = ResolveActivity(seq=seq, is_local=is_local)
    match end:
        case CancelledError():
            DefaultFailureConverter().to_failure(end, _CONVERTER, resolved.result.cancelled.failure)
        case Exception():
            DefaultFailureConverter().to_failure(end, _CONVERTER, resolved.result.failed.failure)
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
        self.pending.append(WorkflowActivationJob(initialize_workflow=self._initialization()))
        self._instance = asyncio.run(self._create_instance())

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
        return self._instance.activate(activation)

    def evict(self, now: datetime) -> None:
        """Drop the workflow's tasks, as a worker does whose cache is full."""
        removal = RemoveFromCache(message="test")
        self.activate(now, [WorkflowActivationJob(remove_from_cache=removal)])

    @property
    def _definition(self) -> _Definition:
        return _Definition.must_from_class(self.workflow)

    def _initialization(self) -> InitializeWorkflow:
        return InitializeWorkflow(
            workflow_type=self._definition.name or "",
            workflow_id=self.workflow_id,
            arguments=[to_payload(self.content)],
            first_execution_run_id=self.first_run_id,
        )

    async def _create_instance(self) -> WorkflowInstance:
        details = WorkflowInstanceDetails(
            payload_converter_factory=lambda: _CONVERTER,
            failure_converter_class=DefaultFailureConverter,
            interceptor_classes=[],
            defn=self._definition,
            info=self._info(),
            randomness_seed=hash(self.run_id),
            extern_functions={"__temporal_assert_local_activity_valid": lambda _: None},
            disable_eager_activity_execution=False,
            worker_level_failure_exception_types=[],
            patch_activation_callback=None,
            last_completion_result=Payloads(),
            last_failure=None,
            default_workflow_logic_flags=_SINGLE_BATCH if self.single_batch else frozenset(),
        )
        return UnsandboxedWorkflowRunner().create_instance(details)

    def _info(self) -> Info:
        return Info(
            attempt=1,
            continued_run_id=None,
            cron_schedule=None,
            execution_timeout=None,
            first_execution_run_id=self.first_run_id,
            headers={},
            namespace="default",
            original_execution_run_id=self.run_id,
            parent=None,
            root=None,
            priority=Priority(),
            raw_memo={},
            retry_policy=None,
            run_id=self.run_id,
            run_timeout=None,
            search_attributes={},
            start_time=self.started_at,
            task_queue="mailboxes",
            task_timeout=self.busy_until - self.busy_until,
            typed_search_attributes=TypedSearchAttributes([]),
            workflow_id=self.workflow_id,
            workflow_start_time=self.started_at,
            workflow_type=self._definition.name or "",
        )
