"""Submissions without a sign-in flood one mailbox on a real server: events per run, and what became of its budgets.

``python -m tests.benchmarks.mailbox_flood [SUBMISSIONS [PER_SECOND]]``. An attacker who spent
failures beforehand must find them spent afterwards.
"""

import asyncio
import contextlib
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from temporalio.client import Client, WorkflowExecution
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from deploy.local.servers.backends import choose_temporal
from deploy.local.servers.temporal import LocalTemporal
from schemas.limits import LimitsQuery, LimitsReport
from tests.fakes.stage import ADA, Stage
from tests.fakes.waiting import until
from workflows.names import LIMITS_QUERY

_SUBMISSIONS = 10_000
_PER_SECOND = 60
_FAILURES = 3
_SENDERS = 50


async def main() -> None:
    """Flood a mailbox, and print what happened."""
    submissions = int(sys.argv[1]) if len(sys.argv) > 1 else _SUBMISSIONS
    per_second = int(sys.argv[2]) if len(sys.argv) > 2 else _PER_SECOND  # noqa: PLR2004 - the second argument

    async with _dev_server() as client:
        async with Stage(client, _now).working() as stage:
            await _spend_failures(stage)
            before = await _failures(stage)
            took_s = await _flood(stage, submissions, per_second)
            with contextlib.suppress(TimeoutError):
                await until(lambda: _answered(stage) >= submissions, 60)
            after = await _failures(stage)

        _report(submissions, took_s, _answered(stage), await _runs(stage))
        print(f"failures of the last day before and after: {before}, {after}")


async def _spend_failures(stage: Stage) -> None:
    signin_id = await stage.open_sign_in()
    for _ in range(_FAILURES):
        await stage.submit(signin_id, "wrong")
    await until(lambda: stage.outcomes(signin_id).count("otp.rejected wrong_code") == _FAILURES)


async def _failures(stage: Stage) -> int:
    query = LimitsQuery(account=stage.account(ADA), as_of=datetime.now(UTC))
    report: LimitsReport = await stage.mailbox().query(LIMITS_QUERY, query, result_type=LimitsReport)
    return next(use.last_day for use in report.budgets if use.budget == "failures")


async def _flood(stage: Stage, submissions: int, per_second: int) -> float:
    """Submit at a steady pace, ``_SENDERS`` at once at most. Return how long it took."""
    begun = time.monotonic()
    senders = asyncio.Semaphore(_SENDERS)
    refused = 0

    async def submit() -> None:
        nonlocal refused
        async with senders:
            try:
                await stage.submit(uuid.uuid4().hex, "1")
            except RPCError:
                refused += 1

    async with asyncio.TaskGroup() as group:
        for number in range(submissions):
            await asyncio.sleep(max(0, begun + number / per_second - time.monotonic()))
            group.create_task(submit())

    print(f"refused by the server: {refused}")
    return time.monotonic() - begun


async def _runs(stage: Stage) -> list[WorkflowExecution]:
    """Return all runs. Only a description counts the events of one that is open."""
    listed = stage.client.list_workflows(f"WorkflowId = '{stage.mailbox_id()}'")
    handles = [stage.client.get_workflow_handle(run.id, run_id=run.run_id) async for run in listed]
    return [await handle.describe() for handle in handles]


def _answered(stage: Stage) -> int:
    return len({event.event_id for event in stage.publisher.published if "unknown" in str(event.result)})


def _report(submissions: int, took_s: float, answered: int, runs: list[WorkflowExecution]) -> None:
    print(f"{submissions} submissions in {took_s:.0f} s, {submissions / took_s:.0f} a second; {answered} answered")
    ends = [run.status.name if run.status is not None else "" for run in runs]
    print(f"{len(runs)} runs, at most {max(run.history_length for run in runs)} events; ends: {sorted(set(ends))}")
    for run in sorted(runs, key=lambda run: run.start_time):
        print(f"  {run.start_time:%H:%M:%S} {run.status and run.status.name}: {run.history_length} events")


@asynccontextmanager
async def _dev_server() -> AsyncIterator[Client]:
    server = choose_temporal()
    server.start()
    try:
        yield await Client.connect(
            server.address, namespace=LocalTemporal.namespace, data_converter=pydantic_data_converter
        )
    finally:
        server.stop()


async def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    asyncio.run(main())
