"""Two releases side by side on a real server: rolling update, ramp and roll-back, all under load."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import pytest
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from deploy.local.servers.backends import Temporal
from tests.fakes.mailbox_world import GENEROUS
from tests.fakes.stage import Stage
from tests.fakes.waiting import until
from tests.releases.next_release import NextSignInWorkflow, NextVerifyOTPWorkflow
from utils.temporal.histories import read_runs
from utils.temporal.releases import Releases
from utils.temporal.workers import Release

_PEOPLE: Final = 12
_OUTCOMES: Final = ["signin.code_sent", "otp.rejected wrong_code", "signin.succeeded"]
_NEXT: Final = (NextSignInWorkflow, NextVerifyOTPWorkflow)


async def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


async def eventually(condition: Callable[[], Awaitable[bool]], deadline_s: float = 60) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(deadline_s):
        while not await condition():
            await asyncio.sleep(0.2)


class Town:
    """People who sign in again and again, each with a wrong code first, and the releases that serve them."""

    def __init__(self, ours: Stage, upcoming: Stage, deployment: str) -> None:
        self.ours = ours
        self.upcoming = upcoming
        self.consumer = ours
        self.deployment = deployment
        self.releases = Releases(ours.client, deployment)
        self.addresses = [f"person-{number}@example.com" for number in range(_PEOPLE)]
        self.requests: list[str] = []
        self.is_open = True

    async def live(self) -> None:
        """Let everybody sign in until the town closes."""
        async with asyncio.TaskGroup() as people:
            for address in self.addresses:
                people.create_task(self._sign_in_again_and_again(address))

    async def promote(self, build_id: str) -> None:
        """Make a release current as soon as its workers are known."""
        await eventually(lambda: _accepted(self.releases.promote(build_id)))

    async def ramp(self, build_id: str, share: float) -> None:
        """Let a share of the mailboxes move."""
        await eventually(lambda: _accepted(self.releases.ramp(build_id, share)))

    async def under(self, build_id: str) -> int:
        """Return how many mailboxes are served by a release."""
        return Counter([await self._release_of(address) for address in self.addresses])[build_id]

    async def failed_tasks(self) -> int:
        """Return how many workflow tasks have failed in all runs of all workflows."""
        workflow_ids = [*self.requests, *map(self.ours.mailbox_id, self.addresses)]
        count = 0

        for workflow_id in workflow_ids:
            async for history in read_runs(self.ours.client, workflow_id):
                count += sum(map(_is_failed_task, history))
        return count

    def ledger(self) -> Counter[str]:
        """Count what is wrong: a sign-in without its three results, a result with two values, a second mail.

        A result may come twice with the same bytes: consumers drop the repeat by its id.
        """
        values = {(event.event_id, event.value()) for event in self.ours.publisher.published}
        mails = [mail.message_id for mail in self.ours.mailer.sent]
        sign_ins = {request.split("/")[1] for request in self.requests}

        counts: Counter[str] = Counter()
        counts["contradictions"] = len(values) - len({event_id for event_id, _ in values})
        counts["second mails"] = len(mails) - len(set(mails))
        counts["incomplete"] = sum(self._results(signin_id) != _OUTCOMES for signin_id in sign_ins)
        return +counts

    @property
    def repeats(self) -> int:
        """How many results came again, with the same bytes."""
        published = [event.event_id for event in self.ours.publisher.published]
        return len(published) - len(set(published))

    def _results(self, signin_id: str) -> list[str]:
        """Return the results of a sign-in in order, without repeats."""
        return list(dict.fromkeys(self.ours.outcomes(signin_id)))

    async def _sign_in_again_and_again(self, address: str) -> None:
        while self.is_open:
            handle = await self.consumer.request(email=address)
            self.requests.append(handle.id)
            signin_id = handle.id.split("/")[1]

            await until(lambda: self._has(signin_id, "signin.code_sent"), 60)
            await self.consumer.submit(signin_id, "wrong", address)
            await self.consumer.submit(signin_id, self.ours.code(address), address)
            await until(lambda: self._has(signin_id, "signin.succeeded"), 60)

    def _has(self, signin_id: str, outcome: str) -> bool:
        return outcome in self.ours.outcomes(signin_id)

    async def _release_of(self, address: str) -> str:
        try:
            description = await self.ours.mailbox(address).describe()
        except RPCError:
            return ""
        return description.raw_description.workflow_execution_info.versioning_info.deployment_version.build_id


def _is_failed_task(event: HistoryEvent) -> bool:
    """Tell whether a workflow task failed, or was never finished.

    A task that would end the run while a signal arrives is refused and done again: that is no failure.
    """
    match event.event_type:
        case EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            cause = event.workflow_task_failed_event_attributes.cause
            return cause != WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
        case EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
            return True
        case _:
            return False


async def _accepted(call: Awaitable[None]) -> bool:
    """Tell whether the server took a change of releases. It refuses a release that it has not heard of yet."""
    try:
        await call
    except RPCError:
        return False
    return True


@pytest.fixture
async def town(temporal: Temporal) -> AsyncIterator[Town]:
    """Give a town whose two releases have clients of their own, as two processes do."""
    clients = [
        await Client.connect(temporal.address, data_converter=pydantic_data_converter, namespace="default")
        for _ in range(2)
    ]
    ours = Stage(clients[0], now, GENEROUS)
    ours.starts_eagerly = True

    yield Town(ours, ours.beside(clients[1]), f"signin-{uuid.uuid4()}")


@pytest.mark.timeout(300)
async def test_a_rolling_update_and_a_roll_back_lose_nothing(town: Town) -> None:
    """Mailboxes move to the current release and back, a share of them with a ramp. No workflow task fails.

    Nothing is lost, no mail is sent twice, and no result contradicts another.
    """
    ours = Release(town.deployment, "ours")
    upcoming = Release(town.deployment, "next")

    async with town.ours.working(release=ours), asyncio.TaskGroup() as tasks:
        await town.promote("ours")
        tasks.create_task(town.live())
        await eventually(lambda: _holds(town.under("ours"), _PEOPLE))

        async with town.upcoming.working(release=upcoming, workflows=_NEXT):
            await town.ramp("next", 40)
            await eventually(lambda: _holds(town.under("next"), 1))
            ramped = await town.under("next")

            await town.promote("next")
            town.consumer = town.upcoming
            await eventually(lambda: _holds(town.under("next"), _PEOPLE))

            await town.promote("ours")
            town.consumer = town.ours
            await eventually(lambda: _holds(town.under("ours"), _PEOPLE))

        town.is_open = False

    assert 0 < ramped < _PEOPLE
    assert await town.failed_tasks() == 0
    assert town.ledger() == {}
    print(f"{len(town.requests)} sign-ins, {town.repeats} repeats; a ramp of 40 % moved {ramped} of {_PEOPLE}")


async def _holds(count: Awaitable[int], least: int) -> bool:
    return await count >= least
