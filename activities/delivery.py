"""Sends the mail with the code (SECURITY S13)."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from pydantic import SecretStr
from temporalio import activity

from activities.codes import CodeKeys
from activities.errors import CodeExpired, MailRefused
from activities.keyed import base64url
from activities.once import Once
from activities.ports import CodeMail, Mailer
from activities.reporting import context, failure, severity
from schemas.tasks import MailAccepted, MailToSend

logger = logging.getLogger(__name__)

_MAX_REMEMBERED_MAILS: Final = 2_000


class DeliveryActivities:
    """Activities that send mail. Each call tries once: the workflow decides when to retry."""

    def __init__(
        self,
        mailer: Mailer,
        keys: CodeKeys,
        message_id_domain: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._mailer = mailer
        self._keys = keys
        self._message_id_domain = message_id_domain
        self._clock = clock
        self._sent = Once[MailAccepted](_MAX_REMEMBERED_MAILS)

    @activity.defn(name="send_email_activity")
    async def send_email_activity(self, task: MailToSend) -> MailAccepted:
        """Send one mail before its code expires. Return when the mail server accepted it.

        A refusal says when it came, so that the workflow can tell. A mail that this process has
        sent, or is sending, is not sent again.
        """
        try:
            return await self._sent.run(self._message_id(task.signin_id, task.attempt), partial(self._send, task))
        except Exception as error:
            extra = context(error, signin_id=task.signin_id, attempt=task.attempt)
            logger.log(severity(error), "mail not sent", extra=extra)
            raise failure(error) from None

    async def _send(self, task: MailToSend) -> MailAccepted:
        time_left = task.expires_at - self._clock()
        if time_left <= timedelta():
            raise CodeExpired

        try:
            async with asyncio.timeout(time_left.total_seconds()):
                await self._mailer.send(self._mail(task))
        except TimeoutError:
            raise CodeExpired from None
        except MailRefused as refused:
            refused.details = (self._clock().isoformat(),)
            raise

        return MailAccepted(at=self._clock())

    def _mail(self, task: MailToSend) -> CodeMail:
        code = self._keys.derive(task.key_id, task.account, task.signin_id, task.nonce, task.digits)

        return CodeMail(
            recipient=task.email,
            code=SecretStr(code),
            message_id=self._message_id(task.signin_id, task.attempt),
            expires_at=task.expires_at,
            requested_at=task.requested_at,
            locale=task.locale,
            ip=task.ip,
            browser=task.browser,
        )

    def _message_id(self, signin_id: str, attempt: int) -> str:
        """Return one id per sign-in and attempt, so that mail servers drop the repeats of a retry.

        It is a digest, because a mail should not reveal the sign-in's id.
        """
        text = f"signin-worker message-id\n{signin_id}\n{attempt}"
        digest = hashlib.sha256(text.encode()).digest()
        return f"<{base64url(digest)}@{self._message_id_domain}>"
