"""The usual way: one workflow per sign-in, every step a normal activity, in the usual style, with our activities.

It has no limits, no resends and no lockout, so any extra cost does not come from extra features.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities.delivery import DeliveryActivities
    from activities.email_check import EmailActivities
    from activities.otp import OtpActivities
    from activities.publishing import PublishingActivities
    from activities.turnstile_check import TurnstileActivities
    from schemas.results import CodeSent, Result, ResultEvent
    from schemas.results import SignInExpired, SignInFailed, SignInRejected, SignInSucceeded
    from schemas.signals import SignInInput, Submission
    from schemas.tasks import (
        CodeToIssue,
        CodeToVerify,
        EmailToCheck,
        MailToSend,
        Publication,
        TokenToCheck,
    )

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_TRY = timedelta(seconds=15)
_RETRIES = RetryPolicy(maximum_interval=timedelta(seconds=30))


@workflow.defn(name="usual_sign_in")
class UsualSignIn:
    """One sign-in, from the request to its last result."""

    def __init__(self) -> None:
        self._submissions: list[Submission] = []

    @workflow.signal(name="submit")
    def submit(self, submission: Submission) -> None:
        """Accept a submitted code."""
        self._submissions.append(submission)

    @workflow.run
    async def run(self, sign_in: SignInInput) -> None:
        """Check the request, send the mail, wait for codes, compare them, publish the results."""
        request = sign_in.request
        otp = sign_in.policy.otp
        email, token = await asyncio.gather(
            self._do(EmailActivities.validate_email_activity, EmailToCheck(email=request.email)),
            self._do(
                TurnstileActivities.verify_turnstile_activity,
                TokenToCheck(signin_id=request.signin_id, attempt=1, token=request.turnstile_token, ip=None),
            ),
        )
        if email.account is None or email.reason or not token.passed:
            reason = email.reason or "challenge_failed"
            await self._tell(sign_in, SignInRejected(**self._base(sign_in, email.account), reason=reason))
            return

        expires_at = workflow.now() + timedelta(seconds=otp.lifetime_s)
        code: dict[str, Any] = {
            "signin_id": request.signin_id,
            "account": email.account,
            "digits": otp.digits,
        }
        code["nonce"] = str(workflow.uuid4())
        issued = await self._do(OtpActivities.generate_otp_activity, CodeToIssue(**code))
        await self._do(
            DeliveryActivities.send_email_activity,
            MailToSend(
                **code,
                attempt=1,
                email=request.email,
                key_id=issued.key_id,
                expires_at=expires_at,
                requested_at=request.requested_at,
                locale=request.client.locale,
                ip=request.client.ip,
                browser="Firefox",
            ),
        )
        resend_after = workflow.now() + timedelta(seconds=60)
        sent: dict[str, Any] = {
            "attempt": 1,
            "expires_at": expires_at,
            "resend_after": resend_after,
        }
        await self._tell(sign_in, CodeSent(**self._base(sign_in, email.account), **sent))
        await self._tell(sign_in, await self._verdict(sign_in, code | {"key_id": issued.key_id}, expires_at))

    async def _verdict(self, sign_in: SignInInput, code: dict[str, Any], expires_at: datetime) -> Result:
        for _ in range(sign_in.policy.otp.max_attempts):
            try:
                left = expires_at - workflow.now()
                await workflow.wait_condition(lambda: bool(self._submissions), timeout=left)
            except TimeoutError:
                return SignInExpired(**self._base(sign_in, code["account"]))

            submission = self._submissions.pop(0)
            task = CodeToVerify(**code, seal=submission.seal, seal_key_id=submission.key_id)
            if (await self._do(OtpActivities.verify_otp_activity, task)).correct:
                return SignInSucceeded(**self._base(sign_in, code["account"]), submission_id=submission.submission_id)

        return SignInFailed(**self._base(sign_in, code["account"]), reason="too_many_attempts")

    async def _tell(self, sign_in: SignInInput, result: Result) -> None:
        event = ResultEvent(result=result, traceparent=sign_in.traceparent)
        await self._do(PublishingActivities.publish_result_activity, Publication(events=(event,)))

    def _base(self, sign_in: SignInInput, account: str | None) -> dict[str, Any]:
        return {
            "signin_id": sign_in.request.signin_id,
            "account": account,
            "occurred_at": workflow.now(),
        }

    async def _do(self, activity: Callable[[Any, Task], Awaitable[Answer]], task: Task) -> Answer:
        return await workflow.execute_activity_method(
            activity, task, start_to_close_timeout=_TRY, retry_policy=_RETRIES
        )
