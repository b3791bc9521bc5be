"""The workflow publishes exactly what the rules alone would publish, whatever people do.

``tests/properties/test_mailbox_machine.py`` compares the rules with their promises. This
compares the workflow, with its signals, activities and timers, with the rules. The server is
slow, so there are few examples.
"""

import asyncio
from datetime import timedelta
from typing import NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from temporalio.testing import WorkflowEnvironment

from schemas.policy import Policy
from tests.fakes.mailbox_world import RIGHT, MailboxWorld
from tests.fakes.stage import ADA, Stage
from tests.fakes.time_skipping import time_skipping_server, unhurried_client
from workflows.rules.clients import network_of

_IPS = ("192.0.2.7", "198.51.100.7")
_WITHIN_S = 20


class Open(NamedTuple):
    """Ask for a code."""

    ip: str
    trusted: bool


class SendAgain(NamedTuple):
    """Ask for another mail of some sign-in."""

    which: int


class Type(NamedTuple):
    """Type a code for some sign-in, and deliver the submission ``times`` times."""

    which: int
    right: bool
    times: int


class Wait(NamedTuple):
    """Let time pass.

    No sum of waits comes close below a limit, so a slow machine changes nothing.
    """

    seconds: int


Action = Open | SendAgain | Type | Wait

_which = st.integers(0, 3)
_actions = st.one_of(
    st.builds(Open, st.sampled_from(_IPS), st.booleans()),
    st.builds(SendAgain, _which),
    st.builds(Type, _which, st.sampled_from([False, False, False, True]), st.integers(1, 2)),
    st.builds(Wait, st.sampled_from([7, 70, 310, 3_700])),
)


class Both:
    """One mailbox twice: as a workflow on a server, and as rules alone."""

    def __init__(self, stage: Stage, environment: WorkflowEnvironment) -> None:
        self.stage = stage
        self.world = MailboxWorld(Policy())
        self._environment = environment
        self._sign_ins: list[str] = []
        self._codes: dict[str, str] = {}
        self._attempts: dict[str, int] = {}

    async def do(self, action: Action) -> None:
        """Do it in both, and compare everything that was published."""
        match action:
            case Open():
                await self._open(action)
            case SendAgain() if self._sign_ins:
                await self._send_again(self._sign_ins[action.which % len(self._sign_ins)])
            case Type() if self._sign_ins:
                await self._type(self._sign_ins[action.which % len(self._sign_ins)], action)
            case Wait():
                self.world.wait(action.seconds)
                await self._environment.sleep(timedelta(seconds=action.seconds))
            case _:
                return

        await self._compare(action)

    async def _open(self, action: Open) -> None:
        mails = len(self.stage.mailer.sent)
        handle = await self.stage.request(client={"ip": action.ip, "trusted_device": action.trusted})
        await handle.result()
        signin_id = self.world.sign_in(handle.id.split("/")[1], network=network_of(action.ip), trusted=action.trusted)
        self._sign_ins.append(signin_id)
        self._attempts[signin_id] = 1
        await self._compare(action)
        if len(self.stage.mailer.sent) > mails:
            self._codes[signin_id] = self.stage.code(ADA)

    async def _send_again(self, signin_id: str) -> None:
        self._attempts[signin_id] += 1
        attempt = self._attempts[signin_id]
        await (await self.stage.request(signin_id, attempt)).result()
        self.world.attempt(signin_id, attempt)

    async def _type(self, signin_id: str, action: Type) -> None:
        right = self._codes.get(signin_id, "") if action.right else ""
        for _ in range(action.times):
            number = len(self.world.published)
            submission_id = f"submission-{signin_id[:8]}-{number:06}"
            await self.stage.submit(signin_id, right or "wrong", submission_id=submission_id)
            self.world.submit(signin_id, RIGHT if right else "wrong", submission_id=submission_id)

    async def _compare(self, action: Action) -> None:
        expected = {signin_id: self.world.outcomes(signin_id) for signin_id in self._sign_ins}
        published = dict[str, list[str]]()
        try:
            async with asyncio.timeout(_WITHIN_S):
                while published != expected:
                    await asyncio.sleep(0.01)
                    published = {signin_id: self.stage.outcomes(signin_id) for signin_id in self._sign_ins}
        except TimeoutError:
            raise AssertionError(f"after {action}: the workflow published {published}, the rules {expected}") from None


@pytest.mark.timeout(300)
@settings(max_examples=12, deadline=None, derandomize=True, phases=[Phase.generate])  # to shrink takes minutes
@given(actions=st.lists(_actions, min_size=8, max_size=16))
async def test_the_workflow_publishes_what_the_rules_publish(actions: list[Action]) -> None:
    """Both agree after every action.

    New runs are tested on a real server: this one loses signals that arrive meanwhile.
    """
    async with time_skipping_server() as environment:
        stage = Stage(await unhurried_client(environment), environment.get_current_time)
        async with stage.working():
            both = Both(stage, environment)
            await both.do(Open(_IPS[0], trusted=False))
            for action in actions:
                await both.do(action)
