"""What a mailbox holds, in numbers."""

from schemas.mailbox import MailboxState, MailboxStatus
from workflows.rules.budgets import Budgets


def status_of(state: MailboxState, budgets: Budgets) -> MailboxStatus:
    """Count what is there."""
    mails, failures = budgets.counts()

    return MailboxStatus(
        live=len(state.live),
        waiting=len(state.waiting),
        unpublished=sum(map(len, state.outbox.values())),
        mails_last_day=mails,
        failures_last_day=failures,
    )
