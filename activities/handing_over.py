"""From a request's workflow to others: its mailbox, and the first attempt of its sign-in."""

import logging

from temporalio import activity

from activities.ports import FirstAttempts, Mailboxes
from activities.reporting import context, failure, severity
from schemas.tasks import FirstAttempt, FirstAttemptQuery, HandOver, HandOverQuery

logger = logging.getLogger(__name__)


class HandOverActivities:
    """What reaches the workflows of Temporal from within one of them."""

    def __init__(self, mailboxes: Mailboxes, first_attempts: FirstAttempts) -> None:
        self._mailboxes = mailboxes
        self._first_attempts = first_attempts

    @activity.defn(name="hand_over_activity")
    async def hand_over_activity(self, task: HandOver) -> None:
        """Return once the mailbox has the message, at least once: it knows a repeat by sign-in and attempt."""
        try:
            await self._mailboxes.hand_over(task.mailbox, task.message, task.policy)
        except Exception as error:
            message = task.message
            extra = context(
                error, signin_id=message.signin_id, attempt=message.attempt, message_type=type(message).__name__
            )
            logger.log(severity(error), "mailbox not told", extra=extra)
            raise failure(error) from None

    @activity.defn(name="was_handed_over_activity")
    async def was_handed_over_activity(self, task: HandOverQuery) -> bool:
        """Tell whether a mailbox has taken the first attempt of a sign-in."""
        try:
            return await self._mailboxes.has_taken(task.mailbox, task.signin_id)
        except Exception as error:
            logger.log(severity(error), "mailbox not asked", extra=context(error, signin_id=task.signin_id))
            raise failure(error) from None

    @activity.defn(name="read_first_attempt_activity")
    async def read_first_attempt_activity(self, task: FirstAttemptQuery) -> FirstAttempt:
        """Tell how the first attempt of a sign-in stands, without waiting for it."""
        try:
            return await self._first_attempts.read(task.signin_id)
        except Exception as error:
            logger.log(severity(error), "first attempt not read", extra=context(error, signin_id=task.signin_id))
            raise failure(error) from None
