"""Which payload keys histories need: those of the oldest runs, and all that came after them.

Nothing tells when a key left the front of the ring. But a run begins under the key that was
in front then, so the oldest runs show how far back keys are needed.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest
from temporalio.client import Client

from utils.temporal.client import RPC_TIMEOUT

_FIRST_AGE: Final = timedelta(hours=1)
_PRECISION: Final = timedelta(minutes=1)
_OVERLAP: Final = timedelta(minutes=10)
"""How long workers with the old key in front may run beside workers with the new one."""

_MAX_RUNS: Final = 20
_KEY_ID: Final = "encryption-key-id"


@dataclass(frozen=True)
class OldestRuns:
    """When the oldest runs started, or None if there are none, and under which keys."""

    started_at: datetime | None = None
    key_ids: frozenset[str] = frozenset()


async def oldest_runs(client: Client, query: str, now: datetime) -> OldestRuns:
    """Return when the oldest runs that match a query started, and the keys that they started under.

    Servers do not sort: so the start is found by counting. Raises ``RPCError``.
    """
    started_at = await _first_start(client, query, now)
    if started_at is None:
        return OldestRuns()

    key_ids = set[str]()
    for until in (started_at, started_at + _OVERLAP):
        async for run in client.list_workflows(_started_until(query, until), limit=_MAX_RUNS):
            key_ids |= await _first_key_ids(client, run.id, run.run_id)
    return OldestRuns(started_at, frozenset(key_ids))


async def _first_start(client: Client, query: str, now: datetime) -> datetime | None:
    """Return when the first run started, a minute late at most: by doubling, then by halving."""
    if not await _count_until(client, query, now):
        return None

    age = _FIRST_AGE
    while await _count_until(client, query, now - age):
        age *= 2

    before = now - age  # nothing had started
    after = now - age / 2 if age > _FIRST_AGE else now
    while after - before > _PRECISION:
        middle = before + (after - before) / 2
        if await _count_until(client, query, middle):
            after = middle
        else:
            before = middle
    return after


async def _count_until(client: Client, query: str, until: datetime) -> int:
    return (await client.count_workflows(_started_until(query, until), rpc_timeout=RPC_TIMEOUT)).count


def _started_until(query: str, until: datetime) -> str:
    return f"{query} AND StartTime <= '{until.astimezone(UTC).isoformat()}'"


async def _first_key_ids(client: Client, workflow_id: str, run_id: str) -> frozenset[str]:
    """Return the ids of the keys that a run's input is encrypted with."""
    request = GetWorkflowExecutionHistoryRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
        maximum_page_size=1,
    )
    answer = await client.workflow_service.get_workflow_execution_history(request, timeout=RPC_TIMEOUT)

    payloads = answer.history.events[0].workflow_execution_started_event_attributes.input.payloads
    ids = (payload.metadata.get(_KEY_ID) for payload in payloads)
    return frozenset(key_id.decode() for key_id in ids if key_id)
