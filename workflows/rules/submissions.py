"""The codes that people typed: held until their sign-in is known, charged, compared.

They are decided in order of arrival, one at a time for each account. So what a submission
finds, such as a lock, depends on the signals before it, not on how long a compare takes.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from schemas.mailbox import MailboxState, QueuedSubmission, SignIn, Spend, Waiting
from schemas.signals import Submission
from workflows.rules.budgets import Budgets
from workflows.rules.jobs import CompareCode, compare_code
from workflows.rules.moments import moment_of_verdict
from workflows.rules.outbox import Outbox


MAX_WAITING: Final = 32
"""Submissions that wait for a sign-in that their mailbox does not know yet."""

MAX_QUEUED: Final = 32
"""Submissions that wait for their turn, beyond which one without a try left for it is dropped."""


class _Compare(NamedTuple):
    """A compare in flight, and the failure that it was charged."""

    sign_in: SignIn
    queued: QueuedSubmission
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

    @property
    def are_in_flight(self) -> bool:
        """Tell whether a submission is being compared."""
        return bool(self._compares)

    def are_pending(self, signin_id: str) -> bool:
        """Tell whether a submission of a sign-in is being compared or waits for its turn."""
        in_queue = (queued.submission.signin_id for queued in self._state.queue)
        return signin_id in self._compares or signin_id in in_queue

    def add(self, submission: Submission, at: datetime) -> None:
        """Queue a submission, or hold it for a sign-in that it may have overtaken.

        Anybody can send submissions for sign-ins that do not exist. When ``MAX_WAITING`` of
        them wait, further ones are rejected at once.
        """
        sign_in = self._state.live.get(submission.signin_id)

        if sign_in is not None:
            self._enqueue(sign_in, submission, at)
        elif len(self._state.waiting) < MAX_WAITING:
            self._state.waiting.append(Waiting(submission=submission, until=self._until(at)))
        else:
            self._outbox.unknown_signin(submission, at)

    def enqueue_held(self, sign_in: SignIn, at: datetime) -> None:
        """Queue the submissions that waited for a sign-in."""
        for submission in self.pop_held(sign_in.signin_id):
            self._enqueue(sign_in, submission, at)

    def pop_held(self, signin_id: str) -> list[Submission]:
        """Remove and return the submissions that wait for a sign-in."""
        waiting = self._state.waiting
        held = [one.submission for one in waiting if one.submission.signin_id == signin_id]
        self._state.waiting = [one for one in waiting if one.submission.signin_id != signin_id]
        return held

    def drop_queued(self, signin_id: str) -> None:
        """Drop what waits for its turn: the sign-in has its verdict."""
        queue = self._state.queue
        self._state.queue = [queued for queued in queue if queued.submission.signin_id != signin_id]

    def reject_overdue(self, now: datetime) -> None:
        """Reject the submissions whose sign-in did not become known in time."""
        waiting = self._state.waiting
        overdue = [one for one in waiting if now >= one.until]
        self._state.waiting = [one for one in waiting if now < one.until]

        for one in overdue:
            self._outbox.unknown_signin(one.submission, one.until)

    def start_compares(self) -> list[CompareCode]:
        """Charge the next submission of each account and return its compare.

        While the account is locked, compare nothing. The charge comes first, and an account
        has one compare at a time. So submitting many codes at once cannot buy more tries
        than there are (SECURITY S3). What was refused before a submission is told before its verdict.
        """
        busy = {compare.sign_in.account for compare in self._compares.values()}
        compares: list[CompareCode] = []
        left: list[QueuedSubmission] = []

        for queued in self._state.queue:
            sign_in = self._state.live[queued.submission.signin_id]
            if sign_in.account in busy:
                left.append(queued)
                continue

            self._outbox.refusals(sign_in, before=queued.at)
            if locked_until := self._budgets.locked_until(sign_in, queued.at):
                sign_in.judged_at = moment_of_verdict(sign_in, queued.at)
                self._outbox.locked(sign_in, queued.submission, locked_until, sign_in.judged_at)
            else:
                self._compares[sign_in.signin_id] = self._charge(sign_in, queued)
                compares.append(compare_code(sign_in, queued.submission))
                busy.add(sign_in.account)

        self._state.queue = left
        return compares

    def finish_compare(self, signin_id: str) -> QueuedSubmission:
        """Return the submission whose compare has ended. Its charge stays."""
        return self._compares.pop(signin_id).queued

    def cancel_compare(self, signin_id: str) -> None:
        """Give back the try of a submission that could not be compared: it has no result."""
        sign_in, queued, charge = self._compares.pop(signin_id)
        sign_in.tries -= 1
        sign_in.charged.remove(queued.submission.submission_id)
        self._budgets.refund_failure(sign_in, charge)

    def take_back_compares(self) -> None:
        """Give back the tries whose compares are in flight: a new run makes them again."""
        for signin_id in reversed(list(self._compares)):
            queued = self._compares[signin_id].queued
            self.cancel_compare(signin_id)
            if signin_id in self._state.live:
                self._state.queue.insert(0, queued)

    def _until(self, at: datetime) -> datetime:
        """Return until when a submission waits, in whole seconds: so many share a timer."""
        patience = timedelta(seconds=self._state.policy.times.unknown_signin_wait_s)
        until = at + patience
        whole = until.replace(microsecond=0)
        return whole if whole == until else whole + timedelta(seconds=1)

    def _enqueue(self, sign_in: SignIn, submission: Submission, at: datetime) -> None:
        """Queue a submission. One that comes after the code expired has no result.

        One that no try is left for is queued too, unless many are: the sign-in ends before its
        turn, or the account is locked by then, and it is told so. No answer overtakes another's.
        """
        has_try = sign_in.tries + self._count_queued(sign_in) < sign_in.otp.max_attempts

        if submission.account != sign_in.account:
            self._outbox.unknown_signin(submission, at)
        elif sign_in.ending is not None or at >= sign_in.expires_at:
            return
        elif has_try or len(self._state.queue) < MAX_QUEUED:
            self._state.queue.append(QueuedSubmission(submission=submission, at=at))

    def _count_queued(self, sign_in: SignIn) -> int:
        return sum(queued.submission.signin_id == sign_in.signin_id for queued in self._state.queue)

    def _charge(self, sign_in: SignIn, queued: QueuedSubmission) -> _Compare:
        sign_in.tries += 1
        sign_in.charged.append(queued.submission.submission_id)
        charge = self._budgets.charge_failure(sign_in, queued.at)
        return _Compare(sign_in, queued, charge)
