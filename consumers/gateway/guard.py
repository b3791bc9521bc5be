"""What stands between the records in flight and Temporal: a seat, then the breaker, then the call."""

import time
from collections.abc import Awaitable, Callable

from consumers.decode import ReceivedRequest, ReceivedSubmission
from consumers.gateway.breaker import Breaker
from consumers.gateway.limiter import AdaptiveLimit
from consumers.gateway.slots import Seats
from consumers.handling.dispatch import Gateway
from consumers.outcomes import Outcome, Throttled, Unreachable
from consumers.ports import ConsumerMetrics


class GuardedGateway:
    """A gateway behind a breaker, with as many calls under way as ``limit`` allows.

    A record that waits for its next try sits nowhere: its call is over. A busy key is that key's matter alone, and
    says nothing about the server.
    """

    def __init__(
        self,
        gateway: Gateway,
        breaker: Breaker,
        metrics: ConsumerMetrics,
        limit: AdaptiveLimit | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._breaker = breaker
        self._seats = Seats(limit or AdaptiveLimit(), metrics.limit_changed, clock)

    async def start(self, request: ReceivedRequest) -> Outcome:
        """Start the request's workflow. Raises ``NotNow``."""
        return await self._guarded("start", lambda: self._gateway.start(request))

    async def submit(self, submission: ReceivedSubmission) -> Outcome:
        """Signal the mailbox's workflow. Raises ``NotNow``."""
        return await self._guarded("submit", lambda: self._gateway.submit(submission))

    async def _guarded(self, name: str, call: Callable[[], Awaitable[Outcome]]) -> Outcome:
        async with self._seats.seat() as seat, self._breaker.call():
            seat.begin()
            try:
                outcome = await call()
            except Throttled as error:
                seat.overloaded()
                self._seats.hold(error.min_wait_s)
                raise
            except Unreachable:
                seat.overloaded()
                raise
            seat.served((name, type(outcome)))
            return outcome
