"""What a call passes on its way to Temporal: a slot first, then the breaker."""

import time
from collections.abc import Awaitable, Callable

from consumers.decode import ReceivedRequest, ReceivedSubmission
from consumers.gateway.breaker import Breaker
from consumers.gateway.limiter import AdaptiveLimit
from consumers.gateway.slots import CallSlots
from consumers.handling.dispatch import Gateway
from consumers.outcomes import Outcome, Throttled, Unreachable
from consumers.metrics import ConsumerMetrics
from consumers.ports import Stopwatch


class GuardedGateway:
    """A gateway around a gateway: the limit decides how many calls are under way, the breaker whether there are any.

    A record that waits for its next try holds no slot. A busy key says nothing about
    the server, so it teaches the limit nothing.
    """

    def __init__(
        self,
        gateway: Gateway,
        breaker: Breaker,
        metrics: ConsumerMetrics,
        limit: AdaptiveLimit | None = None,
        stopwatch: Stopwatch = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._breaker = breaker
        self._slots = CallSlots(limit or AdaptiveLimit(), metrics.limit_changed, stopwatch)

    async def start(self, request: ReceivedRequest) -> Outcome:
        """Start the request's workflow. Raises ``NotNow``."""
        return await self._guarded("start", lambda: self._gateway.start(request))

    async def submit(self, submission: ReceivedSubmission) -> Outcome:
        """Signal the mailbox's workflow. Raises ``NotNow``."""
        return await self._guarded("submit", lambda: self._gateway.submit(submission))

    async def _guarded(self, method: str, send: Callable[[], Awaitable[Outcome]]) -> Outcome:
        async with self._slots.slot() as call, self._breaker.call():
            self._slots.start(call)

            try:
                outcome = await send()
            except Throttled as error:
                self._slots.overloaded(call)
                self._slots.pause(error.min_wait_s)
                raise
            except Unreachable:
                self._slots.overloaded(call)
                raise

            self._slots.succeeded(call, kind=(method, type(outcome)))
            return outcome
