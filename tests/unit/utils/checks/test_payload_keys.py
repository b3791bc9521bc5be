"""Which payload keys ``check`` says are needed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.history.v1 import History, HistoryEvent, WorkflowExecutionStartedEventAttributes
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from utils.checks.payload_keys import check_payload_keys, judge
from utils.temporal.payload_keys import OldestRuns, oldest_runs

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
QUEUES = ["signin", "signin-mailbox"]


class Run(NamedTuple):
    """A run on the server."""

    started_at: datetime
    key_id: str
    is_open: bool


class FakeServer:
    """Counts and lists runs, newest first, and knows their first events. ``calls`` counts."""

    namespace = "default"

    def __init__(self, *runs: Run) -> None:
        self.runs = {str(number): run for number, run in enumerate(runs)}
        self.calls = 0
        self.error: RPCError | None = None
        self.workflow_service = SimpleNamespace(get_workflow_execution_history=self._first_event)

    def as_client(self) -> Client:
        """Return itself under the type of the real client."""
        return cast(Client, self)

    async def count_workflows(self, query: str, **_: Any) -> Any:
        """Count the runs that match."""
        return SimpleNamespace(count=len(self._matching(query)))

    async def list_workflows(self, query: str, *, limit: int) -> AsyncIterator[Any]:
        """Yield the newest runs that match."""
        matching = self._matching(query)
        for run_id in sorted(matching, key=lambda run_id: matching[run_id].started_at, reverse=True)[:limit]:
            yield SimpleNamespace(id=run_id, run_id=run_id)

    async def _first_event(
        self, request: GetWorkflowExecutionHistoryRequest, **_: Any
    ) -> GetWorkflowExecutionHistoryResponse:
        key_id = self.runs[request.execution.run_id].key_id
        payload = Payload(metadata={"encryption-key-id": key_id.encode()})
        started = WorkflowExecutionStartedEventAttributes(input=Payloads(payloads=[payload]))
        event = HistoryEvent(workflow_execution_started_event_attributes=started)
        return GetWorkflowExecutionHistoryResponse(history=History(events=[event]))

    def _matching(self, query: str) -> dict[str, Run]:
        self.calls += 1
        if self.error is not None:
            raise self.error

        assert query.startswith("TaskQueue IN ('signin', 'signin-mailbox')")
        until = datetime.fromisoformat(query.split("StartTime <= '")[1].rstrip("'"))
        early = {run_id: run for run_id, run in self.runs.items() if run.started_at <= until}
        wants_open = "ExecutionStatus = 'Running'" in query
        return {run_id: run for run_id, run in early.items() if run.is_open or not wants_open}


def run(age: timedelta, key_id: str, is_open: bool = True) -> Run:
    """Return a run of this age."""
    return Run(NOW - age, key_id, is_open)


@pytest.mark.parametrize("hours", [0.001, 0.5, 1, 25.9, 24 * 200])
async def test_the_oldest_run_is_found_by_counting(hours: float) -> None:
    """The server does not sort. A year takes some thirty calls."""
    server = FakeServer(run(timedelta(hours=hours), "k1"), run(timedelta(0), "k2"))
    found = await oldest_runs(server.as_client(), "TaskQueue IN ('signin', 'signin-mailbox')", NOW)

    assert found.started_at is not None
    assert timedelta(0) <= found.started_at - (NOW - timedelta(hours=hours)) <= timedelta(minutes=1)
    assert "k1" in found.key_ids
    assert server.calls < 45


async def test_runs_of_a_rolling_update_need_both_keys() -> None:
    """A worker with the old key in front may start runs for some minutes beside one with the new."""
    newer = run(timedelta(hours=3), "k2")
    older = run(timedelta(hours=2, minutes=55), "k1")
    finding = await check_payload_keys(FakeServer(newer, older).as_client(), ["k2", "k1"], QUEUES, NOW)

    assert "k1: needed by open runs" in finding.text


async def test_each_key_is_reported_with_what_needs_it() -> None:
    """Open runs need it, only closed ones do, or none."""
    server = FakeServer(
        run(timedelta(days=5), "k1", is_open=False),
        run(timedelta(hours=20), "k2"),
        run(timedelta(hours=1), "k3"),
    )
    finding = await check_payload_keys(server.as_client(), ["k3", "k2", "k1", "k0"], QUEUES, NOW)

    assert finding.verdict == "ok"
    assert finding.text == (
        "k3 encrypts; k2: needed by open runs, the oldest since 2026-11-26 13:00 UTC; "
        "k1: needed only to read closed runs; k0: needed by no run."
    )


async def test_without_runs_only_the_first_key_is_needed() -> None:
    """So it is before the first start."""
    finding = await check_payload_keys(FakeServer().as_client(), ["k2", "k1"], QUEUES, NOW)

    assert finding.text == "k2 encrypts; k1: needed by no run."


def test_a_key_that_open_runs_need_and_the_ring_lacks_is_a_failure() -> None:
    """Their workflow tasks fail until it is back."""
    finding = judge(["k3"], OldestRuns(NOW, frozenset({"k1"})), OldestRuns(NOW, frozenset({"k1"})))

    assert finding.verdict == "FAIL"
    assert "k1" in finding.text


async def test_a_server_that_lists_nothing_is_a_warning() -> None:
    """Then nobody knows which keys are needed."""
    server = FakeServer()
    server.error = RPCError("no", RPCStatusCode.PERMISSION_DENIED, b"")
    finding = await check_payload_keys(server.as_client(), ["k1"], QUEUES, NOW)

    assert (finding.ok, finding.verdict) == (True, "warn")
