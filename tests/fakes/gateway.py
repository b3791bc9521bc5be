"""Temporal, as the consumer sees it, in memory."""

import asyncio
from collections import deque
from collections.abc import Callable

from consumers.decode import ReceivedRequest, ReceivedSubmission
from consumers.outcomes import Applied, Duplicate, NotNow, Outcome


class FakeGateway:
    """Fulfils ``Gateway``: remembers what it applied by id.

    ``answers`` is a queue of scripted answers. An answer is an outcome to return, an
    exception to raise, or None to apply. While ``down`` is set, every call raises what
    it makes. A call waits while ``gate`` is clear, and then lets others run ``turns``
    times.
    """

    def __init__(self) -> None:
        self.requests: list[ReceivedRequest] = []
        self.submissions: list[ReceivedSubmission] = []
        self.answers: deque[Outcome | Exception | None] = deque()
        self.down: Callable[[], NotNow] | None = None
        self.turns = 0
        self.under_way = 0
        self.max_under_way = 0
        self.calls = 0
        self._ids: set[tuple[str, int]] = set()

        self.gate = asyncio.Event()
        self.gate.set()

    async def start(self, request: ReceivedRequest) -> Outcome:
        """Apply once per sign-in and attempt."""
        answer = await self._answer()
        if answer is not None:
            return answer

        self.requests.append(request)
        known = (request.event.signin_id, request.event.attempt)
        outcome = Duplicate() if known in self._ids else Applied()
        self._ids.add(known)

        return outcome

    async def submit(self, submission: ReceivedSubmission) -> Outcome:
        """Apply."""
        answer = await self._answer()
        if answer is not None:
            return answer
        self.submissions.append(submission)
        return Applied()

    async def _answer(self) -> Outcome | None:
        self.calls += 1
        self.under_way += 1
        self.max_under_way = max(self.max_under_way, self.under_way)

        try:
            await self.gate.wait()
            for _ in range(self.turns):
                await asyncio.sleep(0)
        finally:
            self.under_way -= 1

        answer = self.answers.popleft() if self.answers else self.down and self.down()
        if isinstance(answer, Exception):
            raise answer

        return answer
