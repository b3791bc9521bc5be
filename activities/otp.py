"""Issues and verifies one-time codes (SECURITY S1, S3, S8).

Only key ids and seals go into these activities and out of them, never a code.
"""

import logging

from temporalio import activity

from activities.codes import CodeKeys
from activities.reporting import context, failure, severity
from schemas.tasks import CodeToIssue, CodeToVerify, CodeVerdict, IssuedCode

logger = logging.getLogger(__name__)


class OtpActivities:
    """Activities that need the code keys, but no network."""

    def __init__(self, keys: CodeKeys) -> None:
        self._keys = keys

    @activity.defn(name="generate_otp_activity")
    async def generate_otp_activity(self, task: CodeToIssue) -> IssuedCode:
        """Choose the key for a sign-in's code, and prove that codes can be derived from it.

        Its account and its mailbox are not known yet, and it may be rejected: so this is not the
        code itself, which no activity ever returns.
        """
        try:
            key_id = self._keys.newest_id
            self._keys.derive(key_id, "", task.signin_id, "", task.digits)
            return IssuedCode(key_id=key_id)
        except Exception as error:
            extra = context(error, signin_id=task.signin_id)
            logger.log(severity(error), "code not issued", extra=extra)
            raise failure(error) from None

    @activity.defn(name="verify_otp_activity")
    async def verify_otp_activity(self, task: CodeToVerify) -> CodeVerdict:
        """Tell, in constant time, whether the sealed code is right. The caller has charged the try."""
        try:
            correct = self._is_correct(task)
        except Exception as error:
            extra = context(error, signin_id=task.signin_id, account=task.account)
            logger.log(severity(error), "code not verified", extra=extra)
            raise failure(error) from None

        if not correct:
            logger.info("wrong code", extra=context(signin_id=task.signin_id, account=task.account))
        return CodeVerdict(correct=correct)

    def _is_correct(self, task: CodeToVerify) -> bool:
        code = self._keys.derive(task.key_id, task.account, task.signin_id, task.nonce, task.digits)
        return self._keys.matches(task.seal, task.seal_key_id, task.signin_id, code)
