"""A bounded memory of sign-ins that are over and of submissions that were seen."""

import hashlib
from datetime import datetime, timedelta
from itertools import chain

from schemas.mailbox import MailboxState
from schemas.signals import Submission
from workflows.rules.budgets import Budgets
from workflows.rules.moments import MAX_CLOCK_AHEAD

MAX_ENDED_SIGN_INS = 128
MAX_SEEN_SUBMISSIONS = 512
_DIGEST_CHARACTERS = 24
_ON_TIME_WITHIN = timedelta(seconds=1)
"""How late a timer may wake a mailbox whose workers are there."""


class Memory:
    """Remembers the newest sign-ins that are over and the newest submissions.

    Sign-ins that the mailbox turned away have a list of their own. Being throttled costs nothing,
    so a flood of them must not displace the finished ones, of which the budgets allow only a few
    a day. Nor those that the mailbox was told to reject: a frozen worker may still hand them over.
    """

    def __init__(self, state: MailboxState, budgets: Budgets) -> None:
        self._state = state
        self._budgets = budgets

    def knows(self, signin_id: str) -> bool:
        """Tell whether a sign-in was handed over or rejected."""
        return signin_id in self._state.live or self.is_over(signin_id)

    def is_over(self, signin_id: str) -> bool:
        """Tell whether a sign-in has had its terminal result."""
        state = self._state
        return signin_id in state.over or signin_id in state.turned_away or signin_id in state.rejected

    def remember_ended(self, signin_id: str) -> None:
        """Remember a sign-in that was accepted and has ended."""
        _append(self._state.over, signin_id, MAX_ENDED_SIGN_INS)

    def remember_turned_away(self, signin_id: str) -> None:
        """Remember a sign-in that the mailbox turned away."""
        _append(self._state.turned_away, signin_id, MAX_ENDED_SIGN_INS)

    def remember_rejected(self, signin_id: str) -> None:
        """Remember a sign-in that the mailbox was told to reject."""
        _append(self._state.rejected, signin_id, MAX_ENDED_SIGN_INS)

    def remember_submission(self, submission: Submission) -> bool:
        """Remember a submission; return whether it is this account's first with that id.

        No flood of others displaces those that wait, nor those that cost a try: they are kept
        with their sign-in.
        """
        digest = _digest(submission)
        if digest in self._state.seen or self._waits(submission) or self._is_charged(submission):
            return False

        _append(self._state.seen, digest, MAX_SEEN_SUBMISSIONS)
        return True

    def needed_until(self) -> datetime:
        """Return until when duplicates can arrive or budgets count what was spent.

        Where no worker was for hours, a request whose first task is done again comes as late as the
        signal that it had sent.
        """
        state = self._state
        last_duplicate_at = max(filter(None, [state.last_event_at, state.remembers_from])) + self.max_duplicate_age
        last_spent_at = self._budgets.last_spent_at()
        if last_spent_at is None:
            return last_duplicate_at

        linger_s = self._state.policy.times.linger_s
        return max(last_duplicate_at, last_spent_at + timedelta(seconds=linger_s))

    def prolong_if_late(self, now: datetime) -> None:
        """Remember for as long again, once, if the mailbox is looked at only after it should have ended.

        If that is so because no worker was there, requests stood still, too, and send what they found only now.
        A workflow that was started to publish an overflow was never sent a signal, and has nothing to remember.
        """
        state = self._state
        if state.remembers_from is None or state.was_prolonged:
            return

        if now > self.needed_until() + _ON_TIME_WITHIN:
            state.remembers_from = now
            state.was_prolonged = True

    @property
    def max_duplicate_age(self) -> timedelta:
        """How old an event may be that is delivered again, also through a consumer whose clock is behind."""
        policy = self._state.policy
        return timedelta(seconds=policy.times.max_event_age_s + policy.otp.lifetime_s) + MAX_CLOCK_AHEAD

    def _waits(self, submission: Submission) -> bool:
        """Tell whether a submission waits for its turn or for its sign-in."""
        queued = (one.submission for one in self._state.queue)
        waiting = (one.submission for one in self._state.waiting)
        own = (one for one in chain(queued, waiting) if one.submission_id == submission.submission_id)
        return any(one.account == submission.account for one in own)

    def _is_charged(self, submission: Submission) -> bool:
        account = submission.account
        own = (sign_in for sign_in in self._state.live.values() if sign_in.account == account)
        return any(submission.submission_id in sign_in.charged for sign_in in own)


def _append(newest: list[str], item: str, limit: int) -> None:
    newest.append(item)
    del newest[:-limit]


def _digest(submission: Submission) -> str:
    text = f"{submission.account} {submission.submission_id}"
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]
