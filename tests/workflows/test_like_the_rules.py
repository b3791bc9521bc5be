"""The real workflow against the rules alone: whatever people do, both say the same about every sign-in.

``tests/properties/test_mailbox_machine.py`` holds the rules against what they promise; this holds signals, activities
and timers against the rules. The server is slow, so there are few examples.
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
    """Ask for the code of some sign-in again."""

    which: int


class Type(NamedTuple):
    """Type a code for some sign-in, so many times the same submission."""

    which: int
    right: bool
    times: int


class Wait(NamedTuple):
    """Let time pass. No sum of these comes near a limit from below, so that a slow machine changes nothing."""

    seconds: int


Deed = Open | SendAgain | Type | Wait

_which = st.integers(0, 3)
_deeds = st.one_of(
    st.builds(Open, st.sampled_from(_IPS), st.booleans()),
    st.builds(SendAgain, _which),
    st.builds(Type, _which, st.sampled_from([False, False, False, True]), st.integers(1, 2)),
    st.builds(Wait, st.sampled_from([7, 70, 310, 3_700])),
)


class Both:
    """One mailbox twice: the workflow on a server."""

    def __init__(self, stage: Stage, environment: WorkflowEnvironment) -> None:
        self.stage = stage
        self.world = MailboxWorld(Policy())
        self._environment = environment
        self._sign_ins: list[str] = []
        self._codes: dict[str, str] = {}
        self._attempts: dict[str, int] = {}

    async def do(self, deed: Deed) -> None:
        """Do it in both, and compare all that was said."""
        match deed:
            case Open():
                await self._open(deed)
            case SendAgain() if self._sign_ins:
                await self._send_again(self._sign_ins[deed.which % len(self._sign_ins)])
            case Type() if self._sign_ins:
                await self._type(self._sign_ins[deed.which % len(self._sign_ins)], deed)
            case Wait():
                self.world.wait(deed.seconds)
                await self._environment.sleep(timedelta(seconds=deed.seconds))
            case _:
                return

        await self._compare(deed)

    async def _open(self, deed: Open) -> None:
        mails = len(self.stage.mailer.sent)
        handle = await self.stage.request(client={"ip": deed.ip, "trusted_device": deed.trusted})
        await handle.result()
        signin_id = self.world.sign_in(handle.id.split("/")[1], network=network_of(deed.ip), trusted=deed.trusted)
        self._sign_ins.append(signin_id)
        self._attempts[signin_id] = 1
        await self._compare(deed)
        if len(self.stage.mailer.sent) > mails:
            self._codes[signin_id] = self.stage.code(ADA)

    async def _send_again(self, signin_id: str) -> None:
        self._attempts[signin_id] += 1
        attempt = self._attempts[signin_id]
        await (await self.stage.request(signin_id, attempt)).result()
        self.world.attempt(signin_id, attempt)

    async def _type(self, signin_id: str, deed: Type) -> None:
        right = self._codes.get(signin_id, "") if deed.right else ""
        for _ in range(deed.times):
            number = len(self.world.published)
            submission_id = f"submission-{signin_id[:8]}-{number:06}"
            await self.stage.submit(signin_id, right or "wrong", submission_id=submission_id)
            self.world.submit(signin_id, RIGHT if right else "wrong", submission_id=submission_id)

    async def _compare(self, deed: Deed) -> None:
        wanted = {signin_id: self.world.outcomes(signin_id) for signin_id in self._sign_ins}
        said = dict[str, list[str]]()
        try:
            async with asyncio.timeout(_WITHIN_S):
                while said != wanted:
                    await asyncio.sleep(0.01)
                    said = {signin_id: self.stage.outcomes(signin_id) for signin_id in self._sign_ins}
        except TimeoutError:
            raise AssertionError(f"after {deed}: the workflow said {said}, the rules {wanted}") from None


@pytest.mark.timeout(300)
@settings(max_examples=12, deadline=None, derandomize=True, phases=[Phase.generate])  # to shrink takes minutes
@given(deeds=st.lists(_deeds, min_size=8, max_size=16))
async def test_the_workflow_says_what_the_rules_say(deeds: list[Deed]) -> None:
    """After every deed. New runs are left to a real server: this one loses signals that come meanwhile."""
    async with time_skipping_server() as environment:
        stage = Stage(await unhurried_client(environment), environment.get_current_time)
        async with stage.working():
            both = Both(stage, environment)
            await both.do(Open(_IPS[0], trusted=False))
            for deed in deeds:
                await both.do(deed)
