"""A results topic in memory."""

from collections import deque

from activities.errors import PublishUnavailable, SideEffectError
from schemas.results import ResultEvent


class FakePublisher:
    """Fulfils ``Publisher``: keeps what it acknowledges in ``published``; ``answers`` is a queue of scripted errors.

    An entry is an error class to raise, or None to acknowledge. While ``down`` is set every call raises it; so does,
    with ``PublishUnavailable``, one about a sign-in in ``refused``.
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
        """Acknowledge the result, or raise what was scripted."""
        error = self.answers.popleft() if self.answers else self.down
        if error is not None:
            raise error
        if event.result.signin_id in self.refused:
            raise PublishUnavailable
        self.published.append(event)
