"""The SDK's workflow instances: the real workflow code, activation by activation."""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.workflow_activation import (
    InitializeWorkflow,
    RemoveFromCache,
    WorkflowActivation,
    WorkflowActivationJob,
)
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.common import Priority, TypedSearchAttributes
from temporalio.converter import DefaultFailureConverter
from temporalio.worker import UnsandboxedWorkflowRunner
from temporalio.worker._workflow_instance import WorkflowInstanceDetails, _WorkflowLogicFlag
from temporalio.workflow import Info, _Definition

from tests.fakes.quick_payloads import QuickPayloads

CONVERTER: Final = QuickPayloads()
FAILURES: Final = DefaultFailureConverter()
LOOP: Final = asyncio.new_event_loop()
"""Where activities run, and where the SDK creates instances. Nothing ever waits on it."""

_SINGLE_BATCH: Final = frozenset({_WorkflowLogicFlag.PROCESS_WORKFLOW_ACTIVATION_JOBS_AS_SINGLE_BATCH})
_RUNNER: Final = UnsandboxedWorkflowRunner()

Job = WorkflowActivationJob
T = TypeVar("T")


def run_now(work: Coroutine[Any, Any, T]) -> T:
    """Run something that waits for nothing, on a loop if it asks for one."""
    asyncio._set_running_loop(LOOP)
    try:
        work.send(None)
    except StopIteration as done:
        answer: T = done.value
        return answer
    finally:
        asyncio._set_running_loop(None)

    raise AssertionError("nothing in a simulation waits")


class TaskFailed(Exception):
    """Raised when the workflow fails its task."""


class Beginning:
    """What a run begins with: all that an instance is created from."""

    def __init__(
        self,
        kind: str,
        content: Payload,
        ids: tuple[str, str, str],
        started_at: datetime,
        attributes: TypedSearchAttributes,
        *,
        single_batch: bool,
    ) -> None:
        self.kind = kind
        self.content = content
        self.workflow_id, self.run_id, self.first_run_id = ids
        self.started_at = started_at
        self.attributes = attributes
        self.flags: frozenset[_WorkflowLogicFlag] = _SINGLE_BATCH if single_batch else frozenset()

    @property
    def job(self) -> Job:
        """The first job of the first activation."""
        return Job(
            initialize_workflow=InitializeWorkflow(
                workflow_type=self.kind,
                workflow_id=self.workflow_id,
                arguments=[self.content],
                first_execution_run_id=self.first_run_id,
            )
        )


class Instance:
    """A run as one worker has it in its cache."""

    def __init__(self, beginning: Beginning, workflow: type[Any]) -> None:
        asyncio._set_running_loop(LOOP)
        try:
            self._instance = _RUNNER.create_instance(_details(beginning, workflow))
        finally:
            asyncio._set_running_loop(None)

    def activate(self, activation: WorkflowActivation) -> Sequence[WorkflowCommand]:
        """Give the workflow an activation, and return its commands. Raises ``TaskFailed``."""
        completion = self.complete(activation)
        if completion.HasField("failed"):
            raise TaskFailed(_text(completion.failed.failure))
        return completion.successful.commands

    def complete(self, activation: WorkflowActivation) -> WorkflowActivationCompletion:
        """Give the workflow an activation, and return how it dealt with it."""
        completion: WorkflowActivationCompletion = self._instance.activate(activation)
        return completion

    def evict(self) -> None:
        """Drop the workflow's tasks, as a worker does whose cache is full. One that has ended may have none."""
        if not self._instance._tasks:  # type: ignore[attr-defined] # private in the SDK
            return

        removal = WorkflowActivation(jobs=[Job(remove_from_cache=RemoveFromCache())])
        self._instance.activate(removal)


def to_payload(content: object) -> Payload:
    """Return the content as it stands in history."""
    return CONVERTER.to_payload(content)


def from_payload(payload: Payload, kind: type[Any]) -> Any:
    """Return the content of a payload."""
    return CONVERTER.from_payload(payload, kind)


def _text(failure: Failure) -> str:
    return failure.message + (f": {failure.cause.message}" if failure.HasField("cause") else "")


def _details(beginning: Beginning, workflow: type[Any]) -> WorkflowInstanceDetails:
    return WorkflowInstanceDetails(
        payload_converter_factory=lambda: CONVERTER,
        failure_converter_class=DefaultFailureConverter,
        interceptor_classes=[],
        defn=_Definition.must_from_class(workflow),
        info=_info(beginning),
        randomness_seed=int(beginning.run_id.replace("-", "")[:15], 16),
        extern_functions={"__temporal_assert_local_activity_valid": lambda _: None},
        disable_eager_activity_execution=False,
        worker_level_failure_exception_types=[],
        patch_activation_callback=None,
        last_completion_result=Payloads(),
        last_failure=None,
        default_workflow_logic_flags=beginning.flags,
    )


def _info(beginning: Beginning) -> Info:
    return Info(
        attempt=1,
        continued_run_id=None,
        cron_schedule=None,
        execution_timeout=None,
        first_execution_run_id=beginning.first_run_id,
        headers={},
        namespace="default",
        original_execution_run_id=beginning.run_id,
        parent=None,
        root=None,
        priority=Priority(),
        raw_memo={},
        retry_policy=None,
        run_id=beginning.run_id,
        run_timeout=None,
        search_attributes={},
        start_time=beginning.started_at,
        task_queue="signin",
        task_timeout=beginning.started_at - beginning.started_at,
        typed_search_attributes=TypedSearchAttributes(list(beginning.attributes)),  # the SDK changes it
        workflow_id=beginning.workflow_id,
        workflow_start_time=beginning.started_at,
        workflow_type=beginning.kind,
    )
