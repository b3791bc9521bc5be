"""A mailbox's workflow as the SDK runs it, activation by activation, without a server or a worker."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payloads
from temporalio.bridge.proto.workflow_activation import RemoveFromCache, WorkflowActivation, WorkflowActivationJob
from temporalio.common import Priority, TypedSearchAttributes
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DefaultFailureConverter
from temporalio.worker import UnsandboxedWorkflowRunner
from temporalio.worker._workflow_instance import WorkflowInstance, WorkflowInstanceDetails

from workflows.names import VERIFY_OTP_WORKFLOW
from workflows.verify_otp import VerifyOTPWorkflow

Activation = tuple[datetime, Sequence[WorkflowActivationJob]]
"""When a worker was told something, and what."""


class MailboxInstance:
    """A worker's copy of a mailbox, built by replaying what is recorded. Call ``evict`` at the end."""

    def __init__(self, started_at: datetime, recorded: Sequence[Activation]) -> None:
        self._instance = asyncio.run(_create_instance(_details(started_at)))
        for at, jobs in recorded:
            self.activate(at, jobs, is_replaying=True)

    def activate(
        self,
        at: datetime,
        jobs: Sequence[WorkflowActivationJob],
        *,
        is_replaying: bool = False,
    ) -> Sequence[Any]:
        """Tell the workflow what happened, and return its commands."""
        activation = WorkflowActivation(run_id="run", is_replaying=is_replaying, jobs=jobs)
        activation.timestamp.FromDatetime(at)
        completion = self._instance.activate(activation)

        assert not completion.HasField("failed"), completion.failed
        return list(completion.successful.commands)

    def evict(self, at: datetime) -> None:
        """Let go of the workflow, as a worker's cache does."""
        self.activate(at, [WorkflowActivationJob(remove_from_cache=RemoveFromCache())])


async def _create_instance(details: WorkflowInstanceDetails) -> WorkflowInstance:
    """Create it in a running event loop, as the SDK does."""
    return UnsandboxedWorkflowRunner().create_instance(details)


def _details(started_at: datetime) -> WorkflowInstanceDetails:
    return WorkflowInstanceDetails(
        payload_converter_factory=lambda: pydantic_data_converter.payload_converter,
        failure_converter_class=DefaultFailureConverter,
        interceptor_classes=[],
        defn=workflow._Definition.must_from_class(VerifyOTPWorkflow),
        info=_info(started_at),
        randomness_seed=0,
        extern_functions={"__temporal_assert_local_activity_valid": lambda name: None},
        disable_eager_activity_execution=False,
        worker_level_failure_exception_types=[],
        patch_activation_callback=None,
        last_completion_result=Payloads(),
        last_failure=None,
    )


def _info(started_at: datetime) -> workflow.Info:
    return workflow.Info(
        attempt=1,
        continued_run_id=None,
        cron_schedule=None,
        execution_timeout=None,
        first_execution_run_id="run",
        headers={},
        namespace="default",
        original_execution_run_id="run",
        parent=None,
        root=None,
        priority=Priority.default,
        raw_memo={},
        retry_policy=None,
        run_id="run",
        run_timeout=None,
        search_attributes={},
        start_time=started_at,
        task_queue="q",
        task_timeout=timedelta(seconds=10),
        typed_search_attributes=TypedSearchAttributes.empty,
        workflow_id="mailbox/m",
        workflow_start_time=started_at,
        workflow_type=VERIFY_OTP_WORKFLOW,
    )
