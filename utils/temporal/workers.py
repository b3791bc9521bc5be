"""Temporal's workers: for requests, for mailboxes, and for mail."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import (
    Interceptor,
    PollerBehaviorSimpleMaximum,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkerDeploymentConfig,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from utils.temporal.heartbeats import Heartbeats, heartbeat_interval
from utils.temporal.inline import InlineExecutor
from utils.temporal.side_by_side import SideBySide
from workflows.names import mail_task_queue, mailbox_task_queue
from workflows.timeouts import HEARTBEAT_TIMEOUT

SHARED_MODULES: Final = (
    "annotated_types",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "schemas",
    "activities",
    "workflows.names",
    "workflows.rules",
)
"""Modules that workflows share with the worker, instead of loading them for each workflow instance.

They hold no state, and of ``activities`` workflows only use the names. The workflows
themselves stay in the sandbox.
"""

# A task that no poller waits for (no sync match) is persisted and read back. Requests start
# eagerly and most activities are dispatched eagerly, so they need few pollers. Mailboxes and
# mails arrive in bursts.
_REQUEST_POLLERS: Final = PollerBehaviorSimpleMaximum(10)
_MAILBOX_POLLERS: Final = PollerBehaviorSimpleMaximum(40)
_MAIL_POLLERS: Final = PollerBehaviorSimpleMaximum(30)
_ACTIVITY_POLLERS: Final = PollerBehaviorSimpleMaximum(5)
_NON_STICKY_SHARE: Final = 0.5  # the default, 0.2, leaves few pollers for workflows that start
# A dead worker's tasks: after this time they go to any worker, which reads the history first.
STICKY_WAIT: Final = timedelta(seconds=3)
_EXTERNAL_STORAGE_CONCURRENCY: Final = 1  # no payload is stored externally; more would cost a task for each payload


class Release(NamedTuple):
    """What these workers run: a version of a worker deployment, by which Temporal tells releases apart."""

    deployment: str
    build_id: str

    @classmethod
    def of(cls, deployment: str | None, build_id: str) -> "Release | None":
        """Return the release of a deployment, or None without one."""
        return None if deployment is None else cls(deployment, build_id)


def sandbox() -> SandboxedWorkflowRunner:
    """Return the SDK's sandbox, with ``SHARED_MODULES`` passed through."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*SHARED_MODULES)
    return SandboxedWorkflowRunner(restrictions=restrictions)


def build_workers(
    client: Client,
    *,
    task_queue: str,
    request_workflow: type,
    mailbox_workflow: type,
    activities: Sequence[Callable[..., Any]],
    mail_activity: Callable[..., Any],
    mails_per_second: float | None = None,
    interceptors: Sequence[Interceptor] = (),
    graceful_s: float = 20.0,
    runner: WorkflowRunner | None = None,
    release: Release | None = None,
) -> list[Worker]:
    """Return three workers: for requests, for mailboxes, and for mail alone. The first two run all other activities.

    Workflows run without the SDK's sandbox (docs/adr/0014); tests pass ``sandbox()`` as
    ``runner``. ``client`` must be connected. On shutdown, each worker gives its activities
    ``graceful_s`` seconds before it cancels them. ``mails_per_second`` delays mails, it
    never rejects them. With a ``release``, workflows stay with the release that they began
    under (docs/adr/0028). All three workers belong to it: an activity goes to the release of
    its workflow.
    """
    shared: dict[str, Any] = {
        "deployment_config": None if release is None else _versioned(release),
        "interceptors": [Heartbeats(), SideBySide(), *interceptors],
        "max_heartbeat_throttle_interval": heartbeat_interval(HEARTBEAT_TIMEOUT),
        "graceful_shutdown_timeout": timedelta(seconds=graceful_s),
    }
    workflow_options = shared | _workflow_options(activities, runner or UnsandboxedWorkflowRunner())

    requests = Worker(
        client,
        task_queue=task_queue,
        workflows=[request_workflow],
        workflow_task_poller_behavior=_REQUEST_POLLERS,
        **workflow_options,
    )
    mailboxes = Worker(
        client,
        task_queue=mailbox_task_queue(task_queue),
        workflows=[mailbox_workflow],
        workflow_task_poller_behavior=_MAILBOX_POLLERS,
        **workflow_options,
    )
    mail = Worker(
        client,
        task_queue=mail_task_queue(task_queue),
        activities=[mail_activity],
        activity_task_poller_behavior=_MAIL_POLLERS,
        max_task_queue_activities_per_second=mails_per_second,
        **shared,
    )

    return [requests, mailboxes, mail]


def _versioned(release: Release) -> WorkerDeploymentConfig:
    """Return options that pin workflows to a release.

    The workflows do not say so themselves: a server refuses that from workers without a release.
    """
    version = WorkerDeploymentVersion(release.deployment, release.build_id)
    pinned = VersioningBehavior.PINNED
    return WorkerDeploymentConfig(version=version, use_worker_versioning=True, default_versioning_behavior=pinned)


def _workflow_options(activities: Sequence[Callable[..., Any]], runner: WorkflowRunner) -> dict[str, Any]:
    return {
        "activities": list(activities),
        "workflow_runner": runner,
        "activity_task_poller_behavior": _ACTIVITY_POLLERS,
        "sticky_queue_schedule_to_start_timeout": STICKY_WAIT,
        "nonsticky_to_sticky_poll_ratio": _NON_STICKY_SHARE,
        "workflow_task_executor": InlineExecutor(),
        "max_workflow_task_external_storage_concurrency": _EXTERNAL_STORAGE_CONCURRENCY,
    }
