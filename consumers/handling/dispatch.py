"""Decide whether a delivery is applied, ignored, late or rejected."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, assert_never

from consumers.decode import ReceivedRequest, ReceivedSubmission
from consumers.intake import Delivery
from consumers.outcomes import Ignored, Late, Outcome, Rejected
from consumers.ports import Clock, utc_now

Handler = Callable[[Delivery], Awaitable[Outcome]]
"""Returning moves the offset; raising ``NotNow`` does not."""


class Gateway(Protocol):
    """What the consumer needs of Temporal."""

    async def start(self, request: ReceivedRequest) -> Outcome:
        """Start the request's workflow. Raises ``NotNow``."""
        ...

    async def submit(self, submission: ReceivedSubmission) -> Outcome:
        """Signal the mailbox's workflow, starting it if it does not run.

        Raises ``NotNow``.
        """
        ...


@dataclass(frozen=True)
class AgeLimits:
    """How old events may be.

    A request older than ``max_event_age_s`` still starts its workflow, which rejects it as ``stale``.
    """

    max_event_age_s: float = 300
    lifetime_s: float = 300
    replay_horizon_s: float = 86_400


class Dispatcher:
    """The innermost handler: applies a delivery to Temporal unless it is rejected or too old."""

    def __init__(self, gateway: Gateway, limits: AgeLimits, clock: Clock = utc_now) -> None:
        self._gateway = gateway
        self._horizon = timedelta(seconds=limits.replay_horizon_s)
        self._late = timedelta(seconds=limits.max_event_age_s + limits.lifetime_s)
        self._clock = clock

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Return what became of the delivery. Raises ``NotNow``."""
        match delivery.content:
            case Rejected() as rejection:
                return rejection
            case ReceivedRequest() as request:
                return Ignored() if self._age(request) > self._horizon else await self._gateway.start(request)
            case ReceivedSubmission() as submission:
                return self._too_old(submission) or await self._gateway.submit(submission)
            case never:
                assert_never(never)

    def _too_old(self, submission: ReceivedSubmission) -> Ignored | Late | None:
        age = self._age(submission)
        if age > self._horizon:
            return Ignored()
        return Late() if age > self._late else None

    def _age(self, content: ReceivedRequest | ReceivedSubmission) -> timedelta:
        return self._clock() - content.born_at
