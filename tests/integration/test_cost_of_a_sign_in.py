"""The cost of a sign-in on a real Temporal server, in counts: times would depend on the machine.

A machine that stalls may turn a local step into a durable one. So the cheapest of a few
sign-ins counts: every one of them shows the cost of the design, but not every one meets a
stall.
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
    (
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
    ),
    (
        EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
    ),
)


@dataclass(frozen=True)
class Counts:
    """The cost of one sign-in."""

    events: int
    history_bytes: int
    workflow_tasks: int
    calls: Counter[str]


@pytest.fixture(scope="module")
def own_server() -> Iterator[LocalTemporal]:
    """Give a server that only these tests call."""
    server = LocalTemporal()
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def stage(own_server: LocalTemporal) -> AsyncIterator[Stage]:
    """Give both workflows running over fakes."""

    async def now() -> datetime:
        return datetime.now(UTC)

    client = await Client.connect(own_server.address, data_converter=pydantic_data_converter)
    async with Stage(client, now).working() as stage:
        yield stage


async def test_a_sign_in_stays_within_its_events_tasks_and_calls(stage: Stage, own_server: LocalTemporal) -> None:
    """A sign-in is one mail and one right code. A change that costs more shows here."""
    costs = [await _sign_in(stage, own_server, f"ada{number}@example.com") for number in range(_SIGN_INS)]

    assert min(cost.events for cost in costs) <= 35
    assert min(cost.workflow_tasks for cost in costs) <= 5
    assert min(cost.history_bytes for cost in costs) <= 9_800  # every input names its trace and its moments

    calls = min((cost.calls for cost in costs), key=Counter.total)

    assert calls.total() <= 10
    assert calls["SignalWithStartWorkflowExecution"] <= 2  # the hand-over and the code
    assert calls["RespondActivityTaskCompleted"] <= 2  # the mail and the last result; all else is local


async def _sign_in(stage: Stage, server: LocalTemporal, email: str) -> Counts:
    before = await server_calls(server.metrics_url)
    published = len(stage.publisher.published)

    handle = await stage.request(email=email)
    signin_id = handle.id.split("/")[1]
    await _wait_for_rest(stage, email, published + 1)
    await stage.submit(signin_id, stage.code(email), email)
    await _wait_for_rest(stage, email, published + 2)

    workflows = [sign_in_workflow_id(signin_id, 1), stage.mailbox_id(email)]
    events, history_bytes, tasks = await history(stage.client, workflows)

    return Counts(events, history_bytes, tasks, await _calls_since(before, server, tasks))


async def _wait_for_rest(stage: Stage, email: str, published: int) -> None:
    """Wait until so many results are published and the mailbox is idle."""

    async def is_at_rest() -> bool:
        if len(stage.publisher.published) < published:
            return False

        events = Counter([event.event_type async for event in stage.mailbox(email).fetch_history_events()])
        return all(events[scheduled] == events[completed] for scheduled, completed in _PAIRS)

    await eventually(is_at_rest, "the mailbox is at rest", within_s=_WITHIN_S)


async def _calls_since(before: Counter[str], server: LocalTemporal, tasks: int) -> Counter[str]:
    """Return the calls since ``before``.

    Wait for all of them: the server's metrics lag by a second.
    """

    async def all_calls() -> Counter[str] | None:
        made = await server_calls(server.metrics_url) - before
        return made if made["RespondWorkflowTaskCompleted"] >= tasks else None

    made = await eventually(all_calls, "the server's metrics show the last call", within_s=_WITHIN_S)
    return Counter({name: made[name] for name in _CALLS})
