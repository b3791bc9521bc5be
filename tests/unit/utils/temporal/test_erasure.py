"""How the server is asked for runs. What it answers is tested in tests/integration/test_erasure.py."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from temporalio.client import Client, WorkflowExecutionStatus

from utils.temporal.erasure import TemporalErasure


class FakeClient:
    """Lists one run for each prefix that it is asked for, and one that nobody asked for."""

    def __init__(self) -> None:
        self.queries: list[str] = []

    async def list_workflows(self, query: str) -> AsyncIterator[Any]:
        """Note the query, and answer it."""
        self.queries.append(query)
        for prefix in [*query.split("'")[1::2], "signin/somebody-elses/"]:
            yield SimpleNamespace(
                id=f"{prefix}1",
                run_id=f"run of {prefix}",
                status=WorkflowExecutionStatus.COMPLETED,
                start_time=datetime(2026, 11, 27, tzinfo=UTC),
            )


async def test_twenty_sign_ins_are_asked_for_at_once() -> None:
    """A mailbox of years names thousands: one call for each would take minutes. Nobody else's run is returned."""
    client = FakeClient()
    sign_ins = frozenset(f"sign-in-{number}" for number in range(45))

    found = await TemporalErasure(cast(Client, client))._requests(sign_ins)

    assert len(client.queries) == 3
    assert client.queries[0].startswith("WorkflowId STARTS_WITH 'signin/sign-in-0/' OR WorkflowId STARTS_WITH ")
    assert {run.sign_in for run in found} == sign_ins
