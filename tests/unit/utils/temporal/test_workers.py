"""The workers and the SDK's runtime: in this process, in one of its own, and on a real server."""

import base64
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from deploy.local.servers.backends import Temporal
from utils.temporal.client import connect
from utils.temporal.payload_codec import ENCODING
from utils.temporal.workers import SdkTelemetry, _free_port, build_workers
from workflows.names import mail_task_queue

KEYS = {"k1": b"1" * 32}
_COUNTED = """
import os, time
from utils.temporal.workers import SdkTelemetry

def threads():
    names = (open(f"/proc/self/task/{one}/comm").read() for one in os.listdir("/proc/self/task"))
    return sum(name.startswith("tokio-rt-worker") for name in names)

telemetry, since = SdkTelemetry(), time.monotonic()
while not threads() and time.monotonic() < since + 10:
    time.sleep(0.01)
time.sleep(0.2)
print(threads())
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted as Linux shows them")
@pytest.mark.parametrize(("told", "there"), [({}, "1"), ({"TOKIO_WORKER_THREADS": "3"}, "3")])
def test_the_runtime_has_one_thread_unless_told_otherwise(told: dict[str, str], there: str) -> None:
    """By default it has one for every core: they wake each other while Python can use one."""
    environment = {name: value for name, value in os.environ.items() if name != "TOKIO_WORKER_THREADS"} | told
    output = subprocess.run(
        [sys.executable, "-c", _COUNTED], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert output.stdout.strip() == there


@activity.defn(name="refuse_activity")
async def refuse_activity(address: str) -> None:
    """Fail with a text that no history may show."""
    raise ApplicationError(f"{address} is refused", non_retryable=True)


@activity.defn(name="send_email_activity")
async def send_email_activity(address: str) -> str:
    """Return where it ran."""
    return activity.info().task_queue


@workflow.defn(name="sample_workflow", sandboxed=False)
class SampleWorkflow:
    """Runs both."""

    @workflow.run
    async def run(self, address: str, mail_queue: str) -> str:
        """Send a mail by its queue, then fail."""
        timeout = timedelta(seconds=10)
        queue = await workflow.execute_activity(
            send_email_activity, address, task_queue=mail_queue, start_to_close_timeout=timeout
        )
        await workflow.execute_activity(refuse_activity, address, start_to_close_timeout=timeout)
        return queue


def workers(client: Client, queue: str) -> list[Worker]:
    """Return workers for the sample."""
    return build_workers(
        client,
        task_queue=queue,
        request_workflow=SampleWorkflow,
        mailbox_workflow=SampleWorkflow,
        activities=[refuse_activity],
        mail_activity=send_email_activity,
        mails_per_second=50,
        graceful_s=1,
    )


async def test_workers_share_the_work_and_histories_show_nothing(temporal: Temporal) -> None:
    """Mail runs on its own queue; inputs, results and failures are encrypted; the SDK's metrics can be read."""
    telemetry = SdkTelemetry()
    client = await connect(KEYS, environ={"TEMPORAL_ADDRESS": temporal.address}, runtime=telemetry.runtime)
    queue = f"queue-{uuid.uuid4().hex}"
    requests, _, mail = workers(client, queue)

    async with requests, mail:
        handle = await client.start_workflow(
            "sample_workflow", args=["ada@example.com", mail_task_queue(queue)], id=queue, task_queue=queue
        )
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()

    assert "ada@example.com is refused" in str(failed.value.cause.__cause__)

    history = await handle.fetch_history()
    kinds = [event.event_type for event in history.events]

    assert EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED in kinds
    assert "ada@" not in history.to_json()
    assert base64.b64encode(b'"ada@example')[:12].decode() not in history.to_json()
    assert (
        history.events[0].workflow_execution_started_event_attributes.input.payloads[0].metadata["encoding"] == ENCODING
    )
    assert b"temporal_request_total" in telemetry.metrics()


async def test_a_worker_without_the_key_loses_nothing(temporal: Temporal) -> None:
    """The task is tried again until a worker with the key takes it: a rotation in the wrong order heals."""
    environ = {"TEMPORAL_ADDRESS": temporal.address}
    queue = f"queue-{uuid.uuid4().hex}"
    newer = await connect({"k2": b"2" * 32} | KEYS, environ=environ)
    handle = await newer.start_workflow(
        "sample_workflow",
        args=["ada@example.com", mail_task_queue(queue)],
        id=queue,
        task_queue=queue,
        task_timeout=timedelta(seconds=1),
    )
    requests, _, mail = workers(await connect(KEYS, environ=environ), queue)
    async with requests, mail:
        while not await task_failed(newer, queue):
            pass

    requests, _, mail = workers(newer, queue)
    async with requests, mail:
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()

    assert "is refused" in str(failed.value.cause.__cause__)


async def task_failed(client: Client, workflow_id: str) -> bool:
    """Tell whether a workflow task has failed so far."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    return any(event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED for event in history.events)


def test_metrics_that_cannot_be_read_are_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own metrics are shown all the same."""
    telemetry = SdkTelemetry()
    monkeypatch.setattr(telemetry, "_port", 1)
    assert telemetry.metrics() == b""


@pytest.fixture
def taken() -> Iterator[int]:
    """Give a port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_is_taken_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """Another process may be quicker."""
    ports = iter([taken, taken])
    monkeypatch.setattr("utils.temporal.workers._free_port", lambda: next(ports, None) or _free_port())
    assert b"# EOF" not in SdkTelemetry().metrics()
    assert next(ports, None) is None


def test_without_any_free_port_it_gives_up(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """It does not look for ever."""
    monkeypatch.setattr("utils.temporal.workers._free_port", lambda: taken)
    with pytest.raises(ValueError, match="in use"):
        SdkTelemetry()
