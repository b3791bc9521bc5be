"""As of which moment something is decided.

It is never the time of the workflow task: a task that is done again begins later, and must decide
the same.
"""

from datetime import datetime, timedelta

from schemas.mailbox import MailboxState, SignIn

MAX_CLOCK_AHEAD = timedelta(seconds=5)
"""A consumer whose clock is ahead by more must not take codes and budgets with it."""


def moment_of_signal(state: MailboxState, stamp: datetime, now: datetime) -> datetime:
    """Return the moment as of which a signal is decided: its own, but not before the last one's."""
    return max(state.last_event_at, min(stamp, now + MAX_CLOCK_AHEAD))


def moment_of_verdict(sign_in: SignIn, at: datetime) -> datetime:
    """Return the moment of a verdict: its submission's, but not before the mail was accepted."""
    return at if sign_in.sent_at is None else max(at, sign_in.sent_at)
