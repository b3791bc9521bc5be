"""Makes the floor's calls, in a process beside its worker. It has no consumer, no activities and no lingering."""

import asyncio
import os
import secrets
import sys
import time
from collections import defaultdict
from statistics import median
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from tests.benchmarks.performance.pacing import THINKING_S, Visit, run_crowd, run_paced
from tests.benchmarks.performance.peers import serve

_ENDS_WITHIN_S = 5.0
_APART_S = 0.1


class Floor:
    """The commands that the benchmark sends to this process."""

    def __init__(self) -> None:
        self._marks: dict[str, asyncio.Future[None]] = defaultdict(asyncio.get_running_loop().create_future)

    async def start(self, address: str, task_queue: str, runner: str) -> int:
        """Start the worker; return its process id."""
        self._client = await Client.connect(address)
        self._task_queue = task_queue
        self._worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"{__package__}.floor_worker", address, task_queue, runner),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(os.environ),
        )
        self._listening = asyncio.create_task(self._listen())

        return self._worker.pid

    async def crowd(self, signins: int, seats: int) -> dict[str, Any]:
        """Let people sign in as fast as possible."""
        self._marks.clear()
        return (await run_crowd(self._sign_in, signins, seats)).as_json()

    async def pace(self, signins: int, per_s: float) -> dict[str, Any]:
        """Let people sign in at a fixed rate."""
        self._marks.clear()
        return (await run_paced(self._sign_in, signins, per_s)).as_json()

    async def linger(self, mailboxes: int, per_s: float, seconds: float) -> None:
        """Start mailboxes at a fixed rate that do nothing and end after ``seconds``."""
        begun = time.perf_counter()
        name = secrets.token_hex(8)
        for number in range(mailboxes):
            await asyncio.sleep(max(0.0, begun + number / per_s - time.perf_counter()))
            mailbox = f"floor-lingerer/{name}/{number}"
            await self._client.start_workflow("floor_lingerer", seconds, id=mailbox, task_queue=self._task_queue)

    async def bare(self, times: int) -> dict[str, float]:
        """Return the median time, on a quiet machine, of one signal's call and of one workflow task, in seconds.

        All workflows are opened first. The next task of a workflow usually waits 32 ms for its poller if it comes 50 ms
        after the first one, but 3 ms if it comes after 200 ms, as with people who think.
        """
        names = [secrets.token_hex(16) for _ in range(times)]
        for name in names:
            await self._open(name)

        await asyncio.sleep(THINKING_S)
        calls = list[float]()
        tasks = list[float]()

        for name in names:
            await asyncio.sleep(_APART_S)
            begun = time.perf_counter()
            await self._client.get_workflow_handle(f"floor-mailbox/{name}").signal("submit")
            calls.append(time.perf_counter() - begun)
            await self._marks[f"over floor-mailbox/{name}"]
            tasks.append(await self._last_task_s(f"floor-mailbox/{name}"))

        return {"signal_s": median(calls), "task_s": median(tasks)}

    async def stop(self) -> None:
        """Stop the worker."""
        assert self._worker.stdin is not None

        self._worker.stdin.close()
        try:
            async with asyncio.timeout(_ENDS_WITHIN_S):
                await self._worker.wait()
        except TimeoutError:
            self._worker.kill()

        self._listening.cancel()

    async def _sign_in(self, visit: Visit) -> None:
        name = secrets.token_hex(16)

        async def request() -> float:
            begun = time.perf_counter()
            await self._open(name)
            return time.perf_counter() - begun

        async def submit() -> float:
            begun = time.perf_counter()
            await self._client.get_workflow_handle(f"floor-mailbox/{name}").signal("submit")
            await self._marks[f"over floor-mailbox/{name}"]
            return time.perf_counter() - begun

        await visit.request(request)
        await visit.submit(submit)
        visit.finish(name)

    async def _open(self, name: str) -> None:
        start = self._client.start_workflow
        queue = self._task_queue
        await start("floor_request", id=f"floor-request/{name}", task_queue=queue)
        await start("floor_mailbox", id=f"floor-mailbox/{name}", task_queue=queue, start_signal="open")
        await self._marks[f"open floor-mailbox/{name}"]

    async def _last_task_s(self, workflow_id: str) -> float:
        """Return the time from scheduling to completion of the last workflow task, by the server's clock."""
        handle = self._client.get_workflow_handle(workflow_id)
        await handle.result()
        begun = ended = 0

        async for event in handle.fetch_history_events():
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
                begun = event.event_time.ToNanoseconds()
            elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                ended = event.event_time.ToNanoseconds()

        return (ended - begun) / 1e9

    async def _listen(self) -> None:
        assert self._worker.stdout is not None
        async for line in self._worker.stdout:
            self._marks[line.decode().strip()].set_result(None)


async def main() -> None:
    """Serve commands until stdin is closed."""
    floor = Floor()
    commands = (floor.start, floor.crowd, floor.pace, floor.linger, floor.bare)
    try:
        await serve({command.__name__: command for command in commands})
    finally:
        await floor.stop()


if __name__ == "__main__":
    asyncio.run(main())
