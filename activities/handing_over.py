"""Hands a request over to its mailbox workflow, and reads the workflow of its first attempt."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from temporalio import activity

from activities.errors import TaskLost
from activities.ports import FirstAttempts, Mailboxes
from activities.reporting import context, failure, severity
from schemas.tasks import FirstAttempt, FirstAttemptQuery, HandOver

_TASK_LOST_AFTER: Final = timedelta(seconds=30)
"""A workflow task is given to another worker after five seconds. Clocks may differ by some."""

logger = logging.getLogger(__name__)


class HandOverActivities:
    """Activities by which one workflow reaches others."""

    def __init__(self, mailboxes: Mailboxes, first_attempts: FirstAttempts, clock: Callable[[], datetime]) -> None:
        self._mailboxes = mailboxes
        self._first_attempts = first_attempts
        self._clock = clock

    @activity.defn(name="hand_over_activity")
    async def hand_over_activity(self, task: HandOver) -> None:
        """Deliver a message at least once. Mailboxes recognise repeats by sign-in and attempt, for some minutes.

        A worker that was frozen for longer than that must not deliver one. History does not hold it
        yet if the try is local, so it is refused there.
        """
        try:
            if activity.info().is_local and self._clock() - task.message.decided_at > _TASK_LOST_AFTER:
                raise TaskLost
            await self._mailboxes.hand_over(task.mailbox, task.message, task.policy)
        except Exception as error:
            message = task.message
            extra = context(
                error,
                signin_id=message.signin_id,
                attempt=message.attempt,
                message_type=type(message).__name__,
            )
            logger.log(severity(error), "message not handed over", extra=extra)
            raise failure(error) from None

    @activity.defn(name="read_first_attempt_activity")
    async def read_first_attempt_activity(self, task: FirstAttemptQuery) -> FirstAttempt:
        """Return the state of a sign-in's first attempt, without waiting for it to end."""
        try:
            return await self._first_attempts.read(task.signin_id)
        except Exception as error:
            extra = context(error, signin_id=task.signin_id)
            logger.log(severity(error), "first attempt not read", extra=extra)
            raise failure(error) from None
