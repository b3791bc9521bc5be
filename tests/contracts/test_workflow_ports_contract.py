"""What every ``Mailboxes`` and ``FirstAttempts`` does: the fakes, and a real Temporal with stand-in workflows."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Protocol

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from activities.errors import TemporalUnavailable
from activities.ports import FirstAttempts, Mailboxes
from deploy.local.servers.backends import Temporal
from schemas.policy import OtpPolicy, Policy
from schemas.signals import Challenge, Refusal, Rejection
from schemas.tasks import FirstAttempt
from tests.fakes.mailboxes import FakeFirstAttempts, FakeMailboxes
from tests.fakes.workflows import ACCEPTED, MailboxStandIn, SignInStandIn
from utils.temporal.client import connect
from utils.temporal.first_attempts import TemporalFirstAttempts
from utils.temporal.mailboxes import TemporalMailboxes
from utils.temporal.workers import sandbox
from workflows.names import mailbox_workflow_id, sign_in_workflow_id

KEYS = {"k1": b"1" * 32}
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
POLICY = Policy(otp=OtpPolicy(digits=6))


class Stage(Protocol):
    """Both ports, and ways to reach behind them."""

    @property
    def mailboxes(self) -> Mailboxes:
        """The port under test."""
        ...

    @property
    def first_attempts(self) -> FirstAttempts:
        """The port under test."""
        ...

    @property
    def cut_off(self) -> FirstAttempts:
        """The port of somebody who cannot reach Temporal."""
        ...

    @property
    def cut_off_mailboxes(self) -> Mailboxes:
        """The port of somebody who cannot reach Temporal."""
        ...

    async def messages(self, mailbox: str) -> Sequence[str]:
        """Return the messages that a mailbox was handed, and the digits of its policy."""
        ...

    async def put_first_attempt(self, signin_id: str, state: str) -> None:
        """Put attempt 1 in a state: ``stay``, ``fail``, ``terminated`` or ``accepted``."""
        ...


class FakeStage:
    """The fakes."""

    def __init__(self) -> None:
        self.mailboxes = FakeMailboxes()
        self.first_attempts = FakeFirstAttempts()
        self.cut_off = FakeFirstAttempts()
        self.cut_off.down = True
        self.cut_off_mailboxes = FakeMailboxes()
        self.cut_off_mailboxes.script(TemporalUnavailable, TemporalUnavailable)

    async def messages(self, mailbox: str) -> Sequence[str]:
        """Read them from the fake."""
        mine = [(message, policy) for to, message, policy in self.mailboxes.handed if to == mailbox]
        return [f"{type(message).__name__} {message.attempt}" for message, _ in mine] + [str(mine[0][1].otp.digits)]

    async def put_first_attempt(self, signin_id: str, state: str) -> None:
        """Script the fake."""
        if state == "stay":
            self.first_attempts.running(signin_id)
        else:
            self.first_attempts.closed(signin_id, ACCEPTED if state == "accepted" else None)


class TemporalStage:
    """Temporal."""

    def __init__(self, client: Client, nowhere: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue
        self.mailboxes = TemporalMailboxes(client, task_queue)
        self.first_attempts = TemporalFirstAttempts(client)
        self.cut_off = TemporalFirstAttempts(nowhere)
        self.cut_off_mailboxes = TemporalMailboxes(nowhere, task_queue)

    async def messages(self, mailbox: str) -> Sequence[str]:
        """Query the workflow."""
        handle = self._client.get_workflow_handle(mailbox_workflow_id(mailbox))
        return await handle.query(MailboxStandIn.kinds)

    async def put_first_attempt(self, signin_id: str, state: str) -> None:
        """Start a workflow, and wait until it is in that state."""
        handle = await self._client.start_workflow(
            "sign_in_workflow",
            "stay" if state == "terminated" else state,
            id=sign_in_workflow_id(signin_id, 1),
            task_queue=self._task_queue,
        )
        if state == "terminated":
            await handle.terminate()

        if state != "stay":
            await asyncio.gather(handle.result(), return_exceptions=True)


@pytest.fixture(params=["fake", "temporal"])
async def stage(request: pytest.FixtureRequest, temporal: Temporal) -> AsyncIterator[Stage]:
    """Give both in turn."""
    if request.param == "fake":
        yield FakeStage()
        return

    client = await connect(KEYS, environ={"TEMPORAL_ADDRESS": temporal.address})
    nowhere = await connect(KEYS, environ={"TEMPORAL_ADDRESS": "127.0.0.1:1"}, lazy=True)
    queue = uuid.uuid4().hex
    stand_ins = [MailboxStandIn, SignInStandIn]
    async with Worker(client, task_queue=queue, workflows=stand_ins, workflow_runner=sandbox()):
        yield TemporalStage(client, nowhere, queue)


def challenge(signin_id: str, attempt: int) -> Challenge:
    """Return a challenge."""
    return Challenge(
        signin_id=signin_id,
        attempt=attempt,
        email="ada@example.com",
        account="a",
        requested_at=NOW,
        born_at=NOW,
        decided_at=NOW,
        key_id="k",
        policy=POLICY,
    )


def rejection() -> Rejection:
    """Return the rejection of another sign-in."""
    return Rejection(
        signin_id=uuid.uuid4().hex,
        email="ada@example.com",
        account="a",
        reason="stale",
        decided_at=NOW,
    )


async def test_messages_arrive_in_order_whether_the_mailbox_runs_or_not(
    stage: Stage,
) -> None:
    """The first message starts the mailbox with the policy that was given."""
    mailbox = uuid.uuid4().hex
    signin_id = uuid.uuid4().hex

    await stage.mailboxes.hand_over(mailbox, challenge(signin_id, 1), POLICY)
    await stage.mailboxes.hand_over(
        mailbox, Refusal(signin_id=signin_id, attempt=2, reason="stale", decided_at=NOW), POLICY
    )
    await stage.mailboxes.hand_over(mailbox, challenge(signin_id, 3), POLICY)
    await stage.mailboxes.hand_over(mailbox, rejection(), POLICY)
    assert await stage.messages(mailbox) == [
        "Challenge 1",
        "Refusal 2",
        "Challenge 3",
        "Rejection 1",
        "6",
    ]


async def test_a_sign_in_that_was_never_seen_is_unknown(stage: Stage) -> None:
    """No workflow has its id."""
    assert await stage.first_attempts.read(uuid.uuid4().hex) == FirstAttempt(status="unknown")


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        ("stay", FirstAttempt(status="running")),
        ("fail", FirstAttempt(status="closed")),
        ("terminated", FirstAttempt(status="closed")),
        ("accepted", FirstAttempt(status="closed", outcome=ACCEPTED)),
    ],
)
async def test_the_state_of_the_first_attempt_is_read(stage: Stage, state: str, seen: FirstAttempt) -> None:
    """Only an attempt that completed has an outcome."""
    signin_id = uuid.uuid4().hex
    await stage.put_first_attempt(signin_id, state)
    assert await stage.first_attempts.read(signin_id) == seen


async def test_without_temporal_every_call_is_unavailable(stage: Stage) -> None:
    """The caller tries again; no sign-in is taken for unknown."""
    with pytest.raises(TemporalUnavailable):
        await stage.cut_off.read(uuid.uuid4().hex)
    with pytest.raises(TemporalUnavailable):
        await stage.cut_off_mailboxes.hand_over("m", challenge(uuid.uuid4().hex, 1), POLICY)
