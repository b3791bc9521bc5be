"""Heartbeats of activities, on a real server."""

import asyncio
import time
import uuid
from datetime import timedelta
from typing import Final

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, TimeoutError, TimeoutType

from deploy.local.servers.backends import Temporal
from utils.temporal.client import connect
from utils.temporal.workers import build_workers
from workflows.names import mail_task_queue

_TIMEOUT: Final = timedelta(seconds=2)


@activity.defn(name="slow_activity")
async def slow_activity(blocks: bool) -> int:
    """Take longer than the heartbeat timeout. Return the number of the try."""
    await asyncio.sleep(0)
    if blocks:
        time.sleep(3)  # noqa: ASYNC251 # the event loop stands still, as in a frozen worker
        return activity.info().attempt

    await asyncio.sleep(4)
    return activity.info().attempt


@workflow.defn(name="slow_workflow", sandboxed=False)
class SlowWorkflow:
    """Runs the activity once."""

    @workflow.run
    async def run(self, queue: str, blocks: bool) -> int:
        """Return the number of the try."""
        return await workflow.execute_activity(
            slow_activity,
            blocks,
            task_queue=queue,
            start_to_close_timeout=timedelta(seconds=20),
            heartbeat_timeout=_TIMEOUT,
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


async def _run(temporal: Temporal, *, blocks: bool) -> int:
    client: Client = await connect({"k": bytes(32)}, environ={"TEMPORAL_ADDRESS": temporal.address})
    queue = f"queue-{uuid.uuid4().hex}"
    requests, _, mail = build_workers(
        client,
        task_queue=queue,
        request_workflow=SlowWorkflow,
        mailbox_workflow=SlowWorkflow,
        activities=[],
        mail_activity=slow_activity,
        graceful_s=1,
    )
    async with requests, mail:
        return await client.execute_workflow(
            SlowWorkflow.run, args=[mail_task_queue(queue), blocks], id=queue, task_queue=queue
        )


async def test_a_slow_activity_does_not_time_out_while_its_worker_lives(temporal: Temporal) -> None:
    """It reports four times as often as it must."""
    assert await _run(temporal, blocks=False) == 1


async def test_an_activity_whose_worker_stands_still_times_out(temporal: Temporal) -> None:
    """Its start-to-close timeout would be later."""
    with pytest.raises(WorkflowFailureError) as caught:
        await _run(temporal, blocks=True)

    error = caught.value.cause
    assert isinstance(error, ActivityError)
    assert isinstance(error.cause, TimeoutError)
    assert error.cause.type is TimeoutType.HEARTBEAT
