"""Bounded memory of what was seen."""

import hashlib

from schemas.mailbox import MailboxState
from schemas.signals import Submission

MOST_OVER = 128
MOST_SEEN = 512
_DIGEST_CHARACTERS = 24


class Memory:
    """Which sign-ins are over and which submissions were seen, the newest of each.

    Those turned away have a ring of their own: throttled requests cost nothing, and must not drive out the finished
    ones, of which budgets allow only a few a day.
    """

    def __init__(self, state: MailboxState) -> None:
        self._state = state

    def is_over(self, signin_id: str) -> bool:
        """Tell whether a sign-in had its terminal result."""
        return signin_id in self._state.over or signin_id in self._state.turned_away

    def finished(self, signin_id: str) -> None:
        """Remember a sign-in that was accepted and has ended."""
        _remember(self._state.over, signin_id, MOST_OVER)

    def turned_away(self, signin_id: str) -> None:
        """Remember a sign-in that was rejected."""
        _remember(self._state.turned_away, signin_id, MOST_OVER)

    def is_new(self, submission: Submission) -> bool:
        """Tell whether this account's submission is seen for the first time, and remember it.

        Those that cost a try are kept with their sign-in too, where no flood of others can drive them out.
        """
        digest = _digest(submission)
        charged = (one for one in self._state.live.values() if one.account == submission.account)
        if digest in self._state.seen or any(submission.submission_id in one.charged for one in charged):
            return False
        _remember(self._state.seen, digest, MOST_SEEN)
        return True


def _remember(ring: list[str], item: str, most: int) -> None:
    ring.append(item)
    del ring[:-most]


def _digest(submission: Submission) -> str:
    text = f"{submission.account} {submission.submission_id}"
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]
