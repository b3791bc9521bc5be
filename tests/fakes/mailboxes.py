"""Temporal's workflows in memory, as far as activities see them."""

from collections import deque

from activities.errors import SideEffectError, TemporalUnavailable
from schemas.policy import Policy
from schemas.signals import Challenge, Refusal, Rejection, SignInOutcome
from schemas.tasks import FirstAttempt


class FakeMailboxes:
    """Fulfils ``Mailboxes``: keeps ``(mailbox, message, policy)`` in ``handed``; ``answers`` queues scripted errors."""

    def __init__(self) -> None:
        self.handed: list[tuple[str, Challenge | Refusal | Rejection, Policy]] = []
        self.answers: deque[type[SideEffectError] | None] = deque()

    def script(self, *answers: type[SideEffectError] | None) -> None:
        """Queue the answers of the next calls."""
        self.answers.extend(answers)

    async def hand_over(self, mailbox: str, message: Challenge | Refusal | Rejection, policy: Policy) -> None:
        """Take the message, or raise what was scripted."""
        error = self.answers.popleft() if self.answers else None
        if error is not None:
            raise error
        self.handed.append((mailbox, message, policy))


class FakeFirstAttempts:
    """Fulfils ``FirstAttempts``: ``known`` by sign-in id; any other is ``unknown``.

    ``down`` makes every call raise.
    """

    def __init__(self) -> None:
        self.known: dict[str, FirstAttempt] = {}
        self.asked: list[str] = []
        self.down = False

    def running(self, signin_id: str) -> None:
        """Let attempt 1 be running."""
        self.known[signin_id] = FirstAttempt(status="running")

    def closed(self, signin_id: str, outcome: SignInOutcome | None) -> None:
        """Let attempt 1 be closed; without an outcome it was terminated or failed."""
        self.known[signin_id] = FirstAttempt(status="closed", outcome=outcome)

    async def read(self, signin_id: str) -> FirstAttempt:
        """Return the state of attempt 1."""
        self.asked.append(signin_id)
        if self.down:
            raise TemporalUnavailable
        return self.known.get(signin_id, FirstAttempt(status="unknown"))
