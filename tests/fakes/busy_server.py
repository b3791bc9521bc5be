"""A server of a scripted capacity, as a gateway sees it."""

import asyncio
from collections.abc import Callable

from consumers.decode import ReceivedRequest, ReceivedSubmission
from consumers.outcomes import Applied, Outcome, Throttled


class BusyServer:
    """Fulfils ``Gateway``. Works on ``capacity`` calls at a time, each for ``service_s()``; the others queue.

    With ``per_second`` it refuses what is above that rate, saved up for one second at most.
    """

    def __init__(self, capacity: int, service_s: Callable[[], float], per_second: float = 0.0) -> None:
        self.service_s = service_s
        self.latencies: list[float] = []
        self.refused = 0
        self.under_way = 0
        self.most_under_way = 0
        self._workers = asyncio.Semaphore(capacity)
        self._per_second = per_second
        self._saved = per_second
        self._saved_at = 0.0

    async def start(self, request: ReceivedRequest) -> Outcome:
        """Serve."""
        return await self._serve()

    async def submit(self, submission: ReceivedSubmission) -> Outcome:
        """Serve."""
        return await self._serve()

    async def _serve(self) -> Outcome:
        if self._per_second:
            self._spend()

        begun_at = _now()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        async with self._workers:
            await asyncio.sleep(self.service_s())

        self.under_way -= 1
        self.latencies.append(_now() - begun_at)

        return Applied()

    def _spend(self) -> None:
        self._saved = min(self._per_second, self._saved + (_now() - self._saved_at) * self._per_second)
        self._saved_at = _now()
        if self._saved < 1:
            self.refused += 1
            raise Throttled
        self._saved -= 1


def _now() -> float:
    return asyncio.get_running_loop().time()
