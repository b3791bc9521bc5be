"""The codes that people typed: held until their sign-in is known, charged, compared."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from schemas.mailbox import MailboxState, SignIn, Spend, Waiting
from schemas.signals import Submission
from workflows.rules.budgets import Budgets
from workflows.rules.jobs import CompareCode, compare_code
from workflows.rules.outbox import Outbox


class _Compare(NamedTuple):
    """A compare in flight, and the failure that it was charged."""

    sign_in: SignIn
    submission: Submission
    charge: Spend


class Submissions:
    """The submissions of one mailbox, kept in its state.

    The compares in flight are not part of the state.
    """

    def __init__(self, state: MailboxState, budgets: Budgets, outbox: Outbox) -> None:
        self._state = state
        self._budgets = budgets
        self._outbox = outbox
        self._compares: dict[str, _Compare] = {}

    def __len__(self) -> int:
        """Return how many submissions wait for their sign-in or for their turn."""
        queued = sum(len(sign_in.queue) for sign_in in self._state.live.values())
        return len(self._state.waiting) + queued

    @property
    def are_in_flight(self) -> bool:
        """Tell whether a submission is being compared."""
        return bool(self._compares)

    def add(self, submission: Submission, now: datetime) -> None:
        """Queue a submission, or hold it for a sign-in that it may have overtaken."""
        sign_in = self._state.live.get(submission.signin_id)
        if sign_in is not None:
            self._enqueue(sign_in, submission, now)
            return

        patience = timedelta(seconds=self._state.policy.times.unknown_signin_wait_s)
        self._state.waiting.append(Waiting(submission=submission, until=now + patience))

    def enqueue_held(self, sign_in: SignIn, now: datetime) -> None:
        """Queue the submissions that waited for a sign-in."""
        for submission in self.pop_held(sign_in.signin_id):
            self._enqueue(sign_in, submission, now)

    def pop_held(self, signin_id: str) -> list[Submission]:
        """Remove and return the submissions that wait for a sign-in."""
        waiting = self._state.waiting
        held = [one.submission for one in waiting if one.submission.signin_id == signin_id]
        self._state.waiting = [one for one in waiting if one.submission.signin_id != signin_id]
        return held

    def reject_overdue(self, now: datetime) -> None:
        """Reject the submissions whose sign-in did not become known in time."""
        waiting = self._state.waiting
        overdue = [one.submission for one in waiting if now >= one.until]
        self._state.waiting = [one for one in waiting if now < one.until]

        for submission in overdue:
            self._outbox.unknown_signin(submission, now)

    def start_compares(self, sign_in: SignIn, key_id: str, now: datetime) -> Iterator[CompareCode]:
        """Charge the next submission and yield its compare.

        While the account is locked, compare nothing. The charge comes first, and a sign-in
        has one compare at a time. So submitting many codes at once cannot buy more tries
        than there are (SECURITY S3).
        """
        while sign_in.queue and sign_in.signin_id not in self._compares:
            submission = sign_in.queue.pop(0)

            locked_until = self._budgets.locked_until(sign_in, now)
            if locked_until is not None:
                self._outbox.locked(sign_in, submission, locked_until, now)
                continue

            self._compares[sign_in.signin_id] = self._charge(sign_in, submission, now)
            yield compare_code(sign_in, key_id, submission)

    def finish_compare(self, signin_id: str) -> Submission:
        """Return the submission whose compare has ended. Its charge stays."""
        return self._compares.pop(signin_id).submission

    def cancel_compare(self, signin_id: str) -> None:
        """Give back the try of a submission that could not be compared: it has no result."""
        sign_in, submission, charge = self._compares.pop(signin_id)
        sign_in.tries -= 1
        sign_in.charged.remove(submission.submission_id)
        self._budgets.refund_failure(sign_in, charge)

    def _enqueue(self, sign_in: SignIn, submission: Submission, now: datetime) -> None:
        if submission.account == sign_in.account:
            sign_in.queue.append(submission)
        else:
            self._outbox.unknown_signin(submission, now)

    def _charge(self, sign_in: SignIn, submission: Submission, now: datetime) -> _Compare:
        sign_in.tries += 1
        sign_in.charged.append(submission.submission_id)
        charge = self._budgets.charge_failure(sign_in, now)
        return _Compare(sign_in, submission, charge)
