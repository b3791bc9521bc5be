"""Workers on a real server."""

import base64
import uuid
from datetime import timedelta

import pytest
from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from deploy.local.servers.backends import Temporal
from utils.temporal.client import connect
from utils.temporal.payload_codec import ENCODING
from utils.temporal.telemetry import SdkTelemetry
from utils.temporal.workers import STICKY_WAIT, build_workers
from workflows.names import mail_task_queue
from workflows.timeouts import HEARTBEAT_TIMEOUT

KEYS = {"k1": b"1" * 32}


@activity.defn(name="refuse_activity")
async def refuse_activity(address: str) -> None:
    """Fail with a text that must not show in any history."""
    raise ApplicationError(f"{address} is refused", non_retryable=True)


@activity.defn(name="send_email_activity")
async def send_email_activity(address: str) -> str:
    """Return the task queue that it ran on."""
    return activity.info().task_queue


@workflow.defn(name="sample_workflow", sandboxed=False)
class SampleWorkflow:
    """Runs both activities."""

    @workflow.run
    async def run(self, address: str, mail_queue: str) -> str:
        """Send a mail on its own queue, then fail."""
        timeout = timedelta(seconds=10)
        queue = await workflow.execute_activity(
            send_email_activity,
            address,
            task_queue=mail_queue,
            start_to_close_timeout=timeout,
        )
        await workflow.execute_activity(refuse_activity, address, start_to_close_timeout=timeout)
        return queue


def workers(client: Client, queue: str) -> list[Worker]:
    """Return workers for the sample workflow and its activities."""
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


async def test_tasks_of_a_dead_worker_are_not_kept_for_it(temporal: Temporal) -> None:
    """Nobody else takes them for three seconds. A living worker reports its activities four times in five."""
    client = await connect(KEYS, environ={"TEMPORAL_ADDRESS": temporal.address})
    configs = [worker.config() for worker in workers(client, "queue")]

    assert [config["sticky_queue_schedule_to_start_timeout"] for config in configs[:2]] == [STICKY_WAIT] * 2
    assert {config["max_heartbeat_throttle_interval"] for config in configs} == {HEARTBEAT_TIMEOUT / 4}


async def test_mail_runs_on_its_own_queue_and_histories_are_encrypted(
    temporal: Temporal,
) -> None:
    """Mail runs on its own queue; inputs, results and failures are encrypted; the SDK's metrics are readable."""
    telemetry = SdkTelemetry()
    client = await connect(KEYS, environ={"TEMPORAL_ADDRESS": temporal.address}, runtime=telemetry.runtime)
    queue = f"queue-{uuid.uuid4().hex}"
    requests, _, mail = workers(client, queue)

    async with requests, mail:
        handle = await client.start_workflow(
            "sample_workflow",
            args=["ada@example.com", mail_task_queue(queue)],
            id=queue,
            task_queue=queue,
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


async def test_a_worker_without_the_key_loses_no_task(temporal: Temporal) -> None:
    """A task is retried until a worker with the key takes it, so a rotation in the wrong order heals."""
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
    """Tell whether a workflow task has failed."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    return any(event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED for event in history.events)
