"""What a check says of Temporal beside the namespace: whether we may write, and who polls."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from consumers.gateway.error_table import is_missing_workflow
from utils.temporal.client import RPC_TIMEOUT
from utils.checks.finding import Finding

_NOBODYS_WORKFLOW: Final = "signin-worker-check"
_RECENT: Final = timedelta(seconds=70)  # a poll takes a minute at most; Temporal remembers who is gone for five
_RIGHTS, _QUEUES = "Temporal rights", "Temporal task queues"
_GRANT: Final = "grant write on the namespace to whom TEMPORAL_API_KEY or the client certificate stands for."


async def check_rights(client: Client) -> Finding:
    """Signal a workflow that nobody has: who may write is told that there is none."""
    try:
        await client.get_workflow_handle(_NOBODYS_WORKFLOW).signal("nothing", rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if not is_missing_workflow(error):
            return Finding(_RIGHTS, False, f"a signal is refused ({error.status.name}).", _GRANT)
    return Finding(_RIGHTS, True, "workflows may be signalled.")


async def check_task_queues(client: Client, queues: Sequence[str]) -> Finding:
    """Tell how many workers poll each queue. None at all is how it is before the first one starts."""
    try:
        polled = {queue: await _workers(client, queue) for queue in queues}
    except RPCError as error:
        return Finding(_QUEUES, True, f"who polls is not told ({error.status.name}).", _GRANT.replace("write", "read"))
    idle = [queue for queue, workers in polled.items() if not workers]
    if len(idle) == len(polled):
        return Finding(_QUEUES, True, f"no worker polls {', '.join(queues)} now.")
    if idle:
        text = f"no worker polls {', '.join(idle)}: what lies there waits."
        return Finding(_QUEUES, True, text, "look at the log of a worker with --role all or worker.")
    told = ", ".join(f"{queue} ({workers})" for queue, workers in polled.items())
    return Finding(_QUEUES, True, f"workers polled within the last minute: {told}.")


async def _workers(client: Client, queue: str) -> int:
    """Count who polled a queue a short while ago. A queue without workflows has activities alone."""
    since, seen = datetime.now(UTC) - _RECENT, set[str]()
    for kind in (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY):
        request = DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
        )
        answer = await client.workflow_service.describe_task_queue(request, timeout=RPC_TIMEOUT)
        recent = (each for each in answer.pollers if each.last_access_time.ToDatetime(UTC) >= since)
        seen |= {each.identity for each in recent}
    return len(seen)
