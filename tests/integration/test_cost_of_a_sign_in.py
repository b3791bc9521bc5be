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
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker._workflow import _WorkflowWorker

from deploy.local.servers.temporal import LocalTemporal
from deploy.local.waiting import eventually
from tests.benchmarks.performance.capacity import ACTIONS
from tests.benchmarks.performance.meters import history, server_actions, server_calls
from schemas.policy import OtpPolicy
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
    actions: Counter[str]
    activations: int


class Activations:
    """Counts how often the SDK's core activates a workflow: each is a call into Python."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        handle = _WorkflowWorker._handle_activation

        async def handle_and_count(worker: _WorkflowWorker, activation: WorkflowActivation) -> None:
            self.made += not any(job.HasField("remove_from_cache") for job in activation.jobs)
            await handle(worker, activation)

        monkeypatch.setattr(_WorkflowWorker, "_handle_activation", handle_and_count)


@pytest.fixture
def activations(monkeypatch: pytest.MonkeyPatch) -> Activations:
    """Give the count of activations."""
    return Activations(monkeypatch)


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


async def test_a_sign_in_stays_within_its_events_tasks_calls_and_actions(
    stage: Stage, own_server: LocalTemporal, activations: Activations
) -> None:
    """A sign-in is one mail and one right code. A change that costs more shows here."""
    costs = [await _sign_in(stage, own_server, activations, f"ada{number}@example.com") for number in range(_SIGN_INS)]

    assert min(cost.events for cost in costs) <= 28
    assert min(cost.workflow_tasks for cost in costs) <= 4
    assert min(cost.history_bytes for cost in costs) <= 9_200  # every input names its trace and its moments
    assert min(cost.activations for cost in costs) <= 10

    calls = min((cost.calls for cost in costs), key=Counter.total)

    assert calls.total() <= 8
    assert calls["SignalWithStartWorkflowExecution"] <= 2  # the hand-over and the code
    assert calls["RespondActivityTaskCompleted"] <= 1  # the mail; all else is local

    assert (
        min(cost.actions.total() for cost in costs) <= ACTIONS
    )  # what Temporal Cloud bills, by the server's own count


async def test_a_mailbox_that_is_used_again_has_its_long_timer_already(stage: Stage) -> None:
    """It remembers for a day. A timer for that is started once the first has fired, and serves all sign-ins of the day.

    Here a sign-in lives for five seconds, so that its timer fires.
    """
    stage.policy = stage.policy.model_copy(update={"otp": OtpPolicy(lifetime_s=5, shortest_resend_s=0)})
    email = "grace@example.com"
    timers: list[int] = []
    for _ in range(2):
        await _succeed(stage, email)
        timers.append(await _timers_once_one_has_fired(stage, email, len(timers) + 1))

    assert timers == [2, 3]


async def _sign_in(stage: Stage, server: LocalTemporal, activations: Activations, email: str) -> Counts:
    before = await server_calls(server.metrics_url)
    actions_before = await server_actions(server.metrics_url)
    activations_before = activations.made

    signin_id = await _succeed(stage, email)

    workflows = [sign_in_workflow_id(signin_id, 1), stage.mailbox_id(email)]
    events, history_bytes, tasks = await history(stage.client, workflows)

    calls = await _calls_since(before, server, tasks)
    actions = await server_actions(server.metrics_url) - actions_before

    return Counts(events, history_bytes, tasks, calls, actions, activations.made - activations_before)


async def _succeed(stage: Stage, email: str) -> str:
    """Sign in, wait until the mailbox is idle, and return the sign-in's id."""
    published = len(stage.publisher.published)
    handle = await stage.request(email=email)
    signin_id = handle.id.split("/")[1]
    await _wait_for_rest(stage, email, published + 1)
    await stage.submit(signin_id, stage.code(email), email)
    await _wait_for_rest(stage, email, published + 2)
    return signin_id


async def _timers_once_one_has_fired(stage: Stage, email: str, fired: int) -> int:
    """Return how many timers a mailbox has started once so many have fired and it is idle."""

    async def have_fired() -> bool:
        return await _count(stage, email, EventType.EVENT_TYPE_TIMER_FIRED) >= fired

    await eventually(have_fired, "the sign-in's timer has fired", within_s=_WITHIN_S)
    await _wait_for_rest(stage, email, 0)
    return await _count(stage, email, EventType.EVENT_TYPE_TIMER_STARTED)


async def _count(stage: Stage, email: str, event_type: "EventType.ValueType") -> int:
    events = stage.mailbox(email).fetch_history_events()
    return sum([event.event_type == event_type async for event in events])


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
