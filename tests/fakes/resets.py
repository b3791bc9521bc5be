"""Takes back what a workflow task decided, on a real server."""

import uuid
from typing import Final

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client

_FIRST_TASK_COMPLETED: Final = 4  # workflow started, task scheduled, task started, task completed


async def reset(client: Client, workflow_id: str, task_completed: int = _FIRST_TASK_COMPLETED) -> None:
    """Take back a workflow task, as if its worker had died before it completed.

    The signals that arrived since then are delivered with the repeated task.
    """
    described = await client.get_workflow_handle(workflow_id).describe()
    request = ResetWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=described.run_id),
        workflow_task_finish_event_id=task_completed,
        request_id=uuid.uuid4().hex,
        reason="test",
    )

    await client.workflow_service.reset_workflow_execution(request)
