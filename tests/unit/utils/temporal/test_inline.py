"""Workflow code on the event loop's own thread, alone and under the SDK's worker on a real server."""

import asyncio
import threading
import time
import uuid
from datetime import timedelta
from typing import Final

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from deploy.local.servers.backends import Temporal
from utils.temporal.inline import InlineExecutor

_TOO_LONG_S: Final = 2.5  # for a thread: the SDK allows it 2 s


@workflow.defn(name="thread_workflow", sandboxed=False)
class ThreadWorkflow:
    """Tells which thread it runs on, before and after it waited."""

    @workflow.run
    async def run(self) -> list[int]:
        """Wait between two answers."""
        first = threading.get_ident()
        await workflow.sleep(timedelta(milliseconds=1))
        return [first, threading.get_ident()]


@workflow.defn(name="blocking_workflow", sandboxed=False)
class BlockingWorkflow:
    """Blocks the process."""

    @workflow.run
    async def run(self) -> str:
        """Block for longer than a thread may."""
        time.sleep(_TOO_LONG_S)
        return "done"


def worker(client: Client, queue: str) -> Worker:
    """Return a worker that runs both workflows on the event loop's thread."""
    return Worker(
        client,
        task_queue=queue,
        workflows=[ThreadWorkflow, BlockingWorkflow],
        workflow_runner=UnsandboxedWorkflowRunner(),
        workflow_task_executor=InlineExecutor(),
    )


async def test_a_call_has_its_result_or_its_error_and_leaves_the_loop_running() -> None:
    """A workflow instance leaves its thread without a running loop."""
    loop = asyncio.get_running_loop()
    executor = InlineExecutor()

    def fails() -> None:
        asyncio._set_running_loop(None)
        raise KeyError("missing")

    def succeeds() -> int:
        asyncio._set_running_loop(None)
        return threading.get_ident()

    with pytest.raises(KeyError, match="missing"):
        await loop.run_in_executor(executor, fails)
    assert asyncio.get_running_loop() is loop

    assert await loop.run_in_executor(executor, succeeds) == threading.get_ident()
    assert asyncio.get_running_loop() is loop


async def test_a_call_begins_after_the_current_step() -> None:
    """Python enters no task within another of the same thread."""
    begun: list[bool] = []
    future = InlineExecutor().submit(begun.append, True)

    assert not begun
    await asyncio.sleep(0)
    assert begun == [True]
    assert future.done()


async def test_workflows_run_on_the_threads_own_loop(temporal: Temporal) -> None:
    """No thread is started for them."""
    client = await Client.connect(temporal.address)
    queue = f"inline-{uuid.uuid4().hex[:8]}"

    async with worker(client, queue):
        threads = await client.execute_workflow(ThreadWorkflow.run, id=queue, task_queue=queue)

    assert threads == [threading.get_ident()] * 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("temporal_workflow")]


async def test_an_activation_that_blocks_holds_up_the_process_and_loses_nothing(temporal: Temporal) -> None:
    """In a thread, its task would fail after two seconds. Here it completes, late."""
    client = await Client.connect(temporal.address)
    queue = f"inline-{uuid.uuid4().hex[:8]}"

    async with worker(client, queue):
        blocking = client.execute_workflow(BlockingWorkflow.run, id=f"{queue}-blocking", task_queue=queue)
        other = client.execute_workflow(ThreadWorkflow.run, id=queue, task_queue=queue)
        told, threads = await asyncio.gather(blocking, other)

    assert told == "done"
    assert len(threads) == 2
