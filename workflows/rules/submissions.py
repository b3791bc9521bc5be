"""Codes that people typed: held until their sign-in is known, charged, compared one at a time for each sign-in."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from schemas.mailbox import MailboxState, SignIn, Spend, Waiting
from schemas.signals import Submission
from workflows.rules.budgets import Budgets
from workflows.rules.jobs import CompareCode, compare_code
from workflows.rules.outbox import Outbox


class Submissions:
    """The submissions of one mailbox, kept in its state."""

    def __init__(self, state: MailboxState, budgets: Budgets, outbox: Outbox) -> None:
        self._state = state
        self._budgets = budgets
        self._outbox = outbox
        self._comparing: dict[str, tuple[SignIn, Submission, Spend]] = {}

    @property
    def is_comparing(self) -> bool:
        """Tell whether a compare is in flight."""
        return bool(self._comparing)

    def __len__(self) -> int:
        """Return how many wait for their sign-in or for their turn."""
        return len(self._state.waiting) + sum(len(sign_in.queue) for sign_in in self._state.live.values())

    def take(self, submission: Submission, now: datetime) -> None:
        """Queue a submission, or let it wait for its sign-in: it may have overtaken the request."""
        sign_in = self._state.live.get(submission.signin_id)
        if sign_in is not None:
            self._queue(sign_in, submission, now)
            return
        patience = timedelta(seconds=self._state.policy.times.unknown_signin_wait_s)
        self._state.waiting.append(Waiting(submission=submission, until=now + patience))

    def opened(self, sign_in: SignIn, now: datetime) -> None:
        """Queue what has waited for this sign-in."""
        for submission in self.release(sign_in.signin_id):
            self._queue(sign_in, submission, now)

    def release(self, signin_id: str) -> list[Submission]:
        """Return what has waited for a sign-in, and let it wait no longer."""
        waiting = self._state.waiting
        self._state.waiting = [one for one in waiting if one.submission.signin_id != signin_id]
        return [one.submission for one in waiting if one.submission.signin_id == signin_id]

    def tick(self, now: datetime) -> None:
        """Reject what has waited in vain."""
        due = [one.submission for one in self._state.waiting if now >= one.until]
        self._state.waiting = [one for one in self._state.waiting if now < one.until]
        for submission in due:
            self._outbox.unknown_signin(submission, now)

    def compares(self, sign_in: SignIn, key_id: str, now: datetime) -> Iterator[CompareCode]:
        """Charge the next submission and have it compared; while the account is locked, compare none.

        The charge comes first and there is one compare at a time, so that no number of submissions at once can buy more
        tries than there are (SECURITY S3).
        """
        while sign_in.queue and sign_in.signin_id not in self._comparing:
            submission = sign_in.queue.pop(0)
            until = self._budgets.locked_until(sign_in.account, sign_in.network, sign_in.trusted, now)
            if until is not None:
                self._outbox.locked(sign_in, submission, until, now)
                continue
            sign_in.tries += 1
            sign_in.charged.append(submission.submission_id)
            self._comparing[sign_in.signin_id] = sign_in, submission, self._budgets.charge_failure(sign_in, now)
            yield compare_code(sign_in, key_id, submission)

    def compared(self, signin_id: str) -> Submission:
        """Return the submission whose compare has ended."""
        _, submission, _ = self._comparing.pop(signin_id)
        return submission

    def not_compared(self, signin_id: str) -> None:
        """Give the try of a submission back that could not be compared. It has no result."""
        sign_in, submission, entry = self._comparing.pop(signin_id)
        sign_in.tries -= 1
        sign_in.charged.remove(submission.submission_id)
        self._budgets.refund_failure(sign_in, entry)

    def _queue(self, sign_in: SignIn, submission: Submission, now: datetime) -> None:
        if submission.account == sign_in.account:
            sign_in.queue.append(submission)
        else:
            self._outbox.unknown_signin(submission, now)
