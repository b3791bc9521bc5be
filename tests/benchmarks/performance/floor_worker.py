"""The floor's worker, configured like ours. Its stdout reports what its workflows did."""

import asyncio
import sys

from temporalio.client import Client
from temporalio.worker import PollerBehaviorSimpleMaximum, UnsandboxedWorkflowRunner, Worker

from tests.benchmarks.performance.floor_workflows import FloorLingerer, FloorMailbox, FloorRequest
from utils.temporal.workers import sandbox

_POLLERS = 40  # as many as ours has for mailboxes


async def main(address: str, task_queue: str, sandboxed: bool) -> None:
    """Run until stdin is closed."""
    client = await Client.connect(address)
    worker = Worker(
        client,
        task_queue=task_queue,
        workflows=[FloorRequest, FloorMailbox, FloorLingerer],
        workflow_runner=sandbox() if sandboxed else UnsandboxedWorkflowRunner(),
        workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(_POLLERS),
        nonsticky_to_sticky_poll_ratio=0.5,
    )

    async with worker:
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3] == "sandboxed"))
