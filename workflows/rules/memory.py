"""A bounded memory of sign-ins that are over and of submissions that were seen."""

import hashlib
from datetime import datetime, timedelta

from schemas.mailbox import MailboxState
from schemas.signals import Submission
from workflows.rules.budgets import Budgets

MAX_ENDED_SIGN_INS = 128
MAX_SEEN_SUBMISSIONS = 512
_DIGEST_CHARACTERS = 24


class Memory:
    """Remembers the newest sign-ins that are over and the newest submissions.

    Rejected sign-ins have a list of their own. Being throttled costs nothing, so a flood of
    them must not displace the finished ones, of which the budgets allow only a few a day.
    """

    def __init__(self, state: MailboxState, budgets: Budgets) -> None:
        self._state = state
        self._budgets = budgets

    def knows(self, signin_id: str) -> bool:
        """Tell whether a sign-in was handed over or rejected."""
        return signin_id in self._state.live or self.is_over(signin_id)

    def is_over(self, signin_id: str) -> bool:
        """Tell whether a sign-in has had its terminal result."""
        return signin_id in self._state.over or signin_id in self._state.turned_away

    def remember_ended(self, signin_id: str) -> None:
        """Remember a sign-in that was accepted and has ended."""
        _append(self._state.over, signin_id, MAX_ENDED_SIGN_INS)

    def remember_rejected(self, signin_id: str) -> None:
        """Remember a sign-in that was rejected."""
        _append(self._state.turned_away, signin_id, MAX_ENDED_SIGN_INS)

    def remember_submission(self, submission: Submission) -> bool:
        """Remember a submission; return whether it is this account's first with that id.

        Charged submissions are also kept with their sign-in, where no flood of others
        displaces them.
        """
        digest = _digest(submission)
        if digest in self._state.seen or self._is_charged(submission):
            return False

        _append(self._state.seen, digest, MAX_SEEN_SUBMISSIONS)
        return True

    def needed_until(self) -> datetime:
        """Return until when duplicates can arrive or budgets count what was spent."""
        last_duplicate_at = self._state.last_event_at + self.max_duplicate_age
        last_spent_at = self._budgets.last_spent_at()
        if last_spent_at is None:
            return last_duplicate_at

        linger_s = self._state.policy.times.linger_s
        return max(last_duplicate_at, last_spent_at + timedelta(seconds=linger_s))

    @property
    def max_duplicate_age(self) -> timedelta:
        """How old an event may be that is delivered again."""
        policy = self._state.policy
        return timedelta(seconds=policy.times.max_event_age_s + policy.otp.lifetime_s)

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
