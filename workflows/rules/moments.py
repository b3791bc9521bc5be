"""As of which moment something is decided.

It is never the time of the workflow task: a task that is done again begins later, and must decide
the same.
"""

from datetime import datetime, timedelta

from schemas.mailbox import MailboxState, SignIn

MAX_CLOCK_AHEAD = timedelta(seconds=5)
"""A consumer whose clock is ahead by more must not take codes and budgets with it."""

_MAX_ERROR = timedelta(seconds=1)
"""What clocks may be wrong by, and results are still published at once.

With what a task takes at most it is less than ``MAX_CLOCK_AHEAD``.
"""


def moment_of_signal(state: MailboxState, stamp: datetime, now: datetime) -> datetime:
    """Return the moment as of which a signal is decided: its own, but not before the last one's."""
    return max(state.last_event_at, min(stamp, now + MAX_CLOCK_AHEAD))


def may_be_capped(moment: datetime, now: datetime) -> bool:
    """Tell whether the moment of a signal may be what ``MAX_CLOCK_AHEAD`` made of it in this task.

    Then it depends on the task's own time, and is another one if the task is done again.
    """
    return moment > now + _MAX_ERROR


def moment_of_verdict(sign_in: SignIn, at: datetime) -> datetime:
    """Return the moment of a verdict: its submission's, but not before the mail was accepted."""
    return at if sign_in.sent_at is None else max(at, sign_in.sent_at)


def moment_of_end(sign_in: SignIn, at: datetime) -> datetime:
    """Return the moment of an end that no submission decides, but not before that of an earlier result."""
    return at if sign_in.judged_at is None else max(at, sign_in.judged_at)
