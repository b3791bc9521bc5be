"""A server of scripted capacity, as a gateway sees it."""

import asyncio
from collections.abc import Callable

from consumers.decode import ReceivedRequest, ReceivedSubmission
from consumers.outcomes import Applied, Outcome, Throttled
from tests.fakes.virtual_time import loop_time


class BusyServer:
    """Fulfils ``Gateway``.

    It works on ``capacity`` calls at a time, ``service_s()`` each; the others queue.
    With ``per_second`` it throttles calls above that rate. Up to one second's worth of
    unused calls is saved.
    """

    def __init__(self, capacity: int, service_s: Callable[[], float], per_second: float = 0.0) -> None:
        self.service_s = service_s
        self.latencies: list[float] = []
        self.refused = 0
        self.under_way = 0
        self.max_under_way = 0
        self._workers = asyncio.Semaphore(capacity)
        self._per_second = per_second
        self._saved = per_second
        self._saved_at = 0.0

    def forget(self) -> None:
        """Measure from now on."""
        self.latencies.clear()
        self.refused = 0
        self.under_way = 0
        self.max_under_way = 0

    async def start(self, request: ReceivedRequest) -> Outcome:
        """Serve the call. Raises ``Throttled``."""
        return await self._serve()

    async def submit(self, submission: ReceivedSubmission) -> Outcome:
        """Serve the call. Raises ``Throttled``."""
        return await self._serve()

    async def _serve(self) -> Outcome:
        if self._per_second:
            self._spend()

        started_at = loop_time()
        self.under_way += 1
        self.max_under_way = max(self.max_under_way, self.under_way)
        async with self._workers:
            await asyncio.sleep(self.service_s())

        self.under_way -= 1
        self.latencies.append(loop_time() - started_at)

        return Applied()

    def _spend(self) -> None:
        now = loop_time()
        self._saved = min(self._per_second, self._saved + (now - self._saved_at) * self._per_second)
        self._saved_at = now

        if self._saved < 1:
            self.refused += 1
            raise Throttled
        self._saved -= 1
