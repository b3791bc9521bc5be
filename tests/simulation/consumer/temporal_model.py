"""Temporal, as the consumer's gateway sees it: it applies, delays, throttles, and forgets to answer."""

import asyncio
import random
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from typing import Final

from consumers.decode import ReceivedRequest, ReceivedSubmission
from consumers.outcomes import (
    Applied,
    Duplicate,
    KeyBusy,
    Misconfigured,
    NotNow,
    Outcome,
    Rejected,
    Throttled,
    Unreachable,
)
from tests.simulation.story import Story

Effect = tuple[str, ...]
"""What is done once: the start of an attempt, or a submission to a mailbox."""

_RPC_TIMEOUT_S: Final = 5.0
REFUSED: Final = "refused"
"""A user agent that makes the model refuse a request, as Temporal refuses what is too large."""


@dataclass
class Mood:
    """How Temporal is. The shares are of calls: each gets one of these troubles at most.

    ``lost``: the call never arrives. ``unanswered``: it is applied, and nobody hears of it.
    """

    latency_s: float = 0.01
    slow: float = 0.0
    lost: float = 0.0
    unanswered: float = 0.0
    throttled: float = 0.0
    busy: float = 0.0
    refused: float = 0.0
    misconfigured: float = 0.0


class TemporalModel:
    """Remembers every effect, in the order in which it was applied first. Fulfils ``Gateway``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, rng: random.Random, story: Story) -> None:
        self.mood = Mood()
        self.effects: dict[Effect, float] = {}
        self.busy_mailbox: str | None = None
        self._loop = loop
        self._rng = rng
        self._story = story
        self._context = copy_context()

    async def start(self, request: ReceivedRequest) -> Outcome:
        """Start an attempt, once. Raises ``NotNow``."""
        event = request.event
        if event.client.user_agent == REFUSED and self.mood.refused < 1:
            await self._travel()
            return Rejected("refused", "temporal: INVALID_ARGUMENT")

        return await self._call(("start", event.signin_id, str(event.attempt)))

    async def submit(self, submission: ReceivedSubmission) -> Outcome:
        """Signal a mailbox, which remembers what it has had. Raises ``NotNow``."""
        effect = ("submit", submission.address.mailbox, submission.event.submission_id)
        outcome = await self._call(effect)

        return Applied() if isinstance(outcome, Duplicate) else outcome

    async def _call(self, effect: Effect) -> Outcome:
        trouble = "busy" if effect[1] == self.busy_mailbox else self._draw()
        if trouble in ("throttled", "busy", "refused", "misconfigured"):
            await self._travel()
            raise self._refusal(trouble)
        if trouble == "lost":
            self._story.add("call lost", effect[0])
            await asyncio.sleep(_RPC_TIMEOUT_S)
            raise Unreachable

        answer: asyncio.Future[Outcome] = self._loop.create_future()
        self._send(effect, answer, answers=trouble != "unanswered")
        try:
            async with asyncio.timeout(_RPC_TIMEOUT_S):
                return await answer
        except asyncio.CancelledError:
            self._story.add("call abandoned", effect[0])
            raise
        except TimeoutError:
            raise Unreachable from None

    def _send(self, effect: Effect, answer: asyncio.Future[Outcome], answers: bool) -> None:
        """Apply the effect a little later, whatever has become of the caller by then."""

        def apply() -> None:
            is_new = effect not in self.effects
            self._story.add("effect" if is_new else "effect again", " ".join(effect))
            if is_new:
                self.effects[effect] = self._loop.time()
            if answers:
                outcome = Applied() if is_new else Duplicate()
                self._loop.call_later(self._delay_s(), _answer, answer, outcome, context=self._context)

        self._loop.call_later(self._delay_s(), apply, context=self._context)

    def _draw(self) -> str | None:
        mood = self.mood
        point = self._rng.random()
        for name in ("lost", "unanswered", "throttled", "busy", "refused", "misconfigured"):
            point -= getattr(mood, name)
            if point < 0:
                self._story.add(f"Temporal: {name}")
                return name

        return None

    @staticmethod
    def _refusal(trouble: str) -> NotNow:
        refusals: dict[str, Callable[[], NotNow]] = {
            "throttled": Throttled,
            "busy": KeyBusy,
            "refused": Unreachable,
            "misconfigured": Misconfigured,
        }
        return refusals[trouble]()

    async def _travel(self) -> None:
        await asyncio.sleep(2 * self._delay_s())

    def _delay_s(self) -> float:
        delay = self.mood.latency_s * (0.5 + self._rng.random())
        if self.mood.slow and self._rng.random() < self.mood.slow:
            delay += self._rng.random() * _RPC_TIMEOUT_S

        return delay


def _answer(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
