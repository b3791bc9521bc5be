"""What a sign-in costs the real Temporal server, in things that can be counted. Time is never a test, counts are.

A machine that hiccups may make a local step a durable one, so the cheapest of a few sign-ins counts: what the design
costs shows in every one of them, a hiccup does not.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from deploy.local.servers.temporal import LocalTemporal
from deploy.local.waiting import eventually
from tests.benchmarks.performance.meters import history, server_calls
from tests.fakes.stage import Stage
from workflows.names import sign_in_workflow_id

_SIGN_INS = 3
_WITHIN_S = 60
_CALLS = (
    "StartWorkflowExecution",
    "SignalWithStartWorkflowExecution",
    "SignalWorkflowExecution",
    "RespondWorkflowTaskCompleted",
    "RespondActivityTaskCompleted",
    "RespondQueryTaskCompleted",
    "QueryWorkflow",
)
_PAIRS = (
    (EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED),
    (EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED),
)


@dataclass(frozen=True)
class Counts:
    """What one sign-in took."""

    events: int
    history_bytes: int
    workflow_tasks: int
    calls: Counter[str]


@pytest.fixture(scope="module")
def own_server() -> Iterator[LocalTemporal]:
    """Give a server whose calls are those of these tests alone."""
    server = LocalTemporal()
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def stage(own_server: LocalTemporal) -> AsyncIterator[Stage]:
    """Give both workflows at work, over fakes."""

    async def now() -> datetime:
        return datetime.now(UTC)

    client = await Client.connect(own_server.address, data_converter=pydantic_data_converter)
    async with Stage(client, now).working() as stage:
        yield stage


async def test_a_sign_in_takes_no_more_events_tasks_and_calls(stage: Stage, own_server: LocalTemporal) -> None:
    """One mail, one right code: a change that costs more has to say so here."""
    seen = [await _sign_in(stage, own_server, f"ada{number}@example.com") for number in range(_SIGN_INS)]
    assert min(one.events for one in seen) <= 35
    assert min(one.workflow_tasks for one in seen) <= 5
    assert min(one.history_bytes for one in seen) <= 9_600  # with a trace, which each input names

    cheapest = min(seen, key=lambda one: one.calls.total()).calls

    assert cheapest.total() <= 10
    assert cheapest["SignalWithStartWorkflowExecution"] <= 2  # the hand-over and the code
    assert cheapest["RespondActivityTaskCompleted"] <= 2  # the mail and the last result: the rest is local


async def _sign_in(stage: Stage, server: LocalTemporal, email: str) -> Counts:
    before, published = await server_calls(server.metrics_url), len(stage.publisher.published)
    handle = await stage.request(email=email)
    signin_id = handle.id.split("/")[1]
    await _at_rest(stage, email, published + 1)
    await stage.submit(signin_id, stage.code(email), email)
    await _at_rest(stage, email, published + 2)
    workflows = [sign_in_workflow_id(signin_id, 1), stage.mailbox_id(email)]
    events, history_bytes, tasks = await history(stage.client, workflows)

    return Counts(events, history_bytes, tasks, await _calls_since(before, server, tasks))


async def _at_rest(stage: Stage, email: str, published: int) -> None:
    """Wait until a result was published and the mailbox has nothing to do but wait."""

    async def is_at_rest() -> bool:
        if len(stage.publisher.published) < published:
            return False
        seen = Counter([event.event_type async for event in stage.mailbox(email).fetch_history_events()])
        return all(seen[begun] == seen[ended] for begun, ended in _PAIRS)

    await eventually(is_at_rest, "the mailbox is at rest", within_s=_WITHIN_S)


async def _calls_since(before: Counter[str], server: LocalTemporal, tasks: int) -> Counter[str]:
    """Return the calls since ``before``, once the server shows all: its page lags by a second."""

    async def shown() -> Counter[str] | None:
        made = await server_calls(server.metrics_url) - before
        return made if made["RespondWorkflowTaskCompleted"] >= tasks else None

    made = await eventually(shown, "the server's metrics show the last call", within_s=_WITHIN_S)
    return Counter({name: made[name] for name in _CALLS})
