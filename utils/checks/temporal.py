"""The check of Temporal beyond the namespace: whether we may write, and who polls the task queues."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from consumers.gateway.error_table import is_missing_workflow
from utils.checks.finding import Finding
from utils.temporal.client import RPC_TIMEOUT
from utils.temporal.releases import Releases

_RIGHTS: Final = "Temporal rights"
_QUEUES: Final = "Temporal task queues"
_RELEASE: Final = "Temporal release"
NO_DEPLOYMENT: Final = Finding.passed(
    _RELEASE,
    "no worker deployment: stop all workers of a release before you start the next (docs/upgrading.md).",
)
_UNKNOWN_WORKFLOW: Final = "signin-worker-check"
_RECENT: Final = timedelta(seconds=70)  # a poll takes up to 60 s; Temporal remembers pollers for five minutes
_IDENTITY: Final = "the identity behind TEMPORAL_API_KEY or the client certificate"
_KINDS: Final = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)


async def check_rights(client: Client) -> Finding:
    """Signal a workflow that does not exist: only a client that may write is told so."""
    try:
        await client.get_workflow_handle(_UNKNOWN_WORKFLOW).signal("nothing", rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if not is_missing_workflow(error):
            fix = f"grant write access on the namespace to {_IDENTITY}."
            return Finding.failed(_RIGHTS, f"a signal is refused ({error.status.name}).", fix)

    return Finding.passed(_RIGHTS, "we may signal workflows.")


async def check_release(releases: Releases, build_id: str) -> Finding:
    """Check that a release is current: without one, workflows wait for it."""
    try:
        states = {release.build_id: release.state for release in await releases.list()}
    except RPCError as error:
        fix = f"grant read access on the namespace to {_IDENTITY}."
        return Finding.warning(_RELEASE, f"the releases cannot be listed ({error.status.name}).", fix)

    current = next((each for each, state in states.items() if state == "current"), None)
    if states and current is None:
        fix = "run signin-worker release promote."
        return Finding.failed(_RELEASE, "no release is current: workflows wait.", fix)

    ours = f"this is {build_id} ({states.get(build_id, 'not started yet')})"
    return Finding.passed(_RELEASE, f"{current or 'none'} is current; {ours}.")


async def check_task_queues(client: Client, queues: Sequence[str]) -> Finding:
    """Report how many workers poll each queue.

    None on any queue is normal before the first start.
    """
    try:
        workers = {queue: await _count_workers(client, queue) for queue in queues}
    except RPCError as error:
        fix = f"grant read access on the namespace to {_IDENTITY}."
        return Finding.warning(_QUEUES, f"the workers cannot be listed ({error.status.name}).", fix)

    idle = [queue for queue, count in workers.items() if not count]
    if len(idle) == len(workers):
        return Finding.passed(_QUEUES, f"no worker polls {', '.join(queues)} now.")
    if idle:
        fix = "read the log of a worker that runs with --role all or worker."
        return Finding.warning(_QUEUES, f"no worker polls {', '.join(idle)}: tasks there wait.", fix)

    counts = ", ".join(f"{queue} ({count})" for queue, count in workers.items())
    return Finding.passed(_QUEUES, f"workers that polled within the last minute: {counts}.")


async def _count_workers(client: Client, queue: str) -> int:
    """Count recent pollers of both kinds, because a queue may serve activities alone."""
    since = datetime.now(UTC) - _RECENT
    identities = set[str]()

    for kind in _KINDS:
        request = DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=kind,
        )
        answer = await client.workflow_service.describe_task_queue(request, timeout=RPC_TIMEOUT)
        recent = (poller for poller in answer.pollers if poller.last_access_time.ToDatetime(UTC) >= since)
        identities |= {poller.identity for poller in recent}

    return len(identities)
