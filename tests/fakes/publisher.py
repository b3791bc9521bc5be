"""A results topic in memory."""

from collections import deque

from activities.errors import PublishUnavailable, SideEffectError
from schemas.results import ResultEvent


class FakePublisher:
    """Implements ``Publisher``: keeps acknowledged results in ``published``.

    ``answers`` has one entry per call: an error class to raise, or None to acknowledge. After
    that, every call raises ``down`` while it is set. A result of a sign-in in ``refused`` raises
    ``PublishUnavailable``.
    """

    def __init__(self) -> None:
        self.published: list[ResultEvent] = []
        self.answers: deque[type[SideEffectError] | None] = deque()
        self.down: type[SideEffectError] | None = None
        self.refused: set[str] = set()

    def script(self, *answers: type[SideEffectError] | None) -> None:
        """Queue the answers of the next calls."""
        self.answers.extend(answers)

    async def publish(self, event: ResultEvent) -> None:
        """Acknowledge the result, or raise the scripted error."""
        error = self.answers.popleft() if self.answers else self.down
        if error is not None:
            raise error

        if event.result.signin_id in self.refused:
            raise PublishUnavailable
        self.published.append(event)
