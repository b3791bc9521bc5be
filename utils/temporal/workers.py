"""Temporal's workers and the SDK's runtime with its metrics."""

import http.client
import logging
import os
import socket
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.worker import (
    Interceptor,
    PollerBehaviorSimpleMaximum,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows.names import mail_task_queue, mailbox_task_queue

logger = logging.getLogger(__name__)

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
"""Modules that workflows share with the worker instead of each instance loading its own.

They hold no state, and of ``activities`` workflows use the names only. The workflows themselves stay in the sandbox.
"""

# A task that finds no poller is written to the database and read again. Requests come with their start, and most
# activities with the task that asked for them; mailboxes and mails come in crowds.
_REQUEST_POLLERS = 10
_MAILBOX_POLLERS = 40
_MAIL_POLLERS = 30
_ACTIVITY_POLLERS = 5
_NON_STICKY_SHARE = 0.5  # the default of 0.2 leaves few pollers for workflows that start
_TOKIO_THREADS = "TOKIO_WORKER_THREADS"  # one keeps up with one Python; one per core wake each other for nothing
_LOOPBACK = "127.0.0.1"
_SCRAPE_TIMEOUT_S = 2.0
_BIND_TRIES = 5


def sandbox() -> SandboxedWorkflowRunner:
    """Return the sandbox, with ``SHARED_MODULES`` passed through."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*SHARED_MODULES))


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
) -> list[Worker]:
    """Return three workers: for requests, for mailboxes, and for mail alone. The first two do all other activities.

    Workflows run without the SDK's sandbox (docs/adr/0014); tests pass ``sandbox()`` as ``runner``.
    ``client`` must be connected. Each worker's ``shutdown`` lets activities end for ``graceful_s`` seconds before it
    cancels them. ``mails_per_second`` delays mails, it rejects none.
    """
    common: dict[str, Any] = {
        "interceptors": list(interceptors),
        "graceful_shutdown_timeout": timedelta(seconds=graceful_s),
    }
    deciding: dict[str, Any] = {
        "activities": list(activities),
        "workflow_runner": runner or UnsandboxedWorkflowRunner(),
        "activity_task_poller_behavior": PollerBehaviorSimpleMaximum(_ACTIVITY_POLLERS),
        "nonsticky_to_sticky_poll_ratio": _NON_STICKY_SHARE,
        "max_workflow_task_external_storage_concurrency": 1,  # more would cost a task for each payload; none is outside
    }
    requests = Worker(
        client,
        task_queue=task_queue,
        workflows=[request_workflow],
        workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(_REQUEST_POLLERS),
        **deciding,
        **common,
    )
    mailboxes = Worker(
        client,
        task_queue=mailbox_task_queue(task_queue),
        workflows=[mailbox_workflow],
        workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(_MAILBOX_POLLERS),
        **deciding,
        **common,
    )
    mail = Worker(
        client,
        task_queue=mail_task_queue(task_queue),
        activities=[mail_activity],
        activity_task_poller_behavior=PollerBehaviorSimpleMaximum(_MAIL_POLLERS),
        max_task_queue_activities_per_second=mails_per_second,
        **common,
    )
    return [requests, mailboxes, mail]


class SdkTelemetry:
    """The SDK's runtime, exporting its metrics to a loopback port that ``metrics`` reads.

    The SDK has its own endpoint and cannot write to another one; so its page is fetched and appended to ours.
    """

    def __init__(self) -> None:
        self.runtime, self._port = _runtime_with_metrics()

    def metrics(self) -> bytes:
        """Return the SDK's metrics in Prometheus' text format, empty if they cannot be had. Takes milliseconds."""
        connection = http.client.HTTPConnection(_LOOPBACK, self._port, timeout=_SCRAPE_TIMEOUT_S)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            logger.warning("the SDK's metrics could not be read", extra={"error": type(error).__name__})
            return b""
        finally:
            connection.close()


def _runtime_with_metrics() -> tuple[Runtime, int]:
    """Bind to a free port. Another process may take it between the look and the bind: then look again."""
    for _ in range(_BIND_TRIES - 1):
        try:
            return _bind(_free_port())
        except (RuntimeError, ValueError):
            continue
    return _bind(_free_port())


def _bind(port: int) -> tuple[Runtime, int]:
    os.environ.setdefault(_TOKIO_THREADS, "1")  # the SDK has no option for it
    metrics = PrometheusConfig(
        bind_address=f"{_LOOPBACK}:{port}", counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True
    )
    return Runtime(telemetry=TelemetryConfig(metrics=metrics)), port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
