"""``SignInWorkflow``: one request.

Checks the request's age, the address and the Turnstile token, issues the code, then hands all to the mailbox.
"""

import asyncio
from datetime import timedelta
from typing import NamedTuple

from temporalio import workflow
from temporalio.exceptions import FailureError

from activities.addresses import masked
from activities.email_check import EmailActivities
from activities.handing_over import HandOverActivities
from activities.otp import OtpActivities
from activities.publishing import PublishingActivities
from activities.turnstile_check import TurnstileActivities
from schemas.results import (
    RejectReason,
    ResendRefusal,
    ResendRefused,
    Result,
    ResultEvent,
    SignInRejected,
)
from schemas.signals import Challenge, Refusal, Rejection, SignInInput, SignInOutcome
from schemas.tasks import (
    CodeToIssue,
    EmailToCheck,
    EmailVerdict,
    FirstAttempt,
    FirstAttemptQuery,
    HandOver,
    Publication,
    TokenToCheck,
)
from workflows.names import SIGN_IN_WORKFLOW
from workflows.rules.attempts import is_stale
from workflows.rules.clients import browser_of, network_of, valid_ip
from workflows.steps import run_durable_step, run_local_step, run_step
from workflows.timeouts import challenge_limit, issue_limit

_MAX_POLL_INTERVAL_S = 8
_EVENTS_OF_FIRST_TASK = 3
"""How many events the first workflow task sees: the start, then the task itself scheduled and started."""


class _Findings(NamedTuple):
    """What the checks found: a reason to reject the request, if any, and the pseudonyms.

    ``key_id`` is the key of the code, if a worker could choose it meanwhile.
    """

    reason: RejectReason | None
    email: EmailVerdict
    key_id: str | None = None


@workflow.defn(name=SIGN_IN_WORKFLOW)
class SignInWorkflow:
    """One attempt of one sign-in.

    Attempt 1 opens the sign-in or rejects it; the mailbox judges later ones.
    """

    @workflow.init
    def __init__(self, sign_in: SignInInput) -> None:
        self._input = sign_in
        self._request = sign_in.request
        self._policy = sign_in.policy
        self._is_done_again = workflow.info().get_current_history_length() > _EVENTS_OF_FIRST_TASK

    @workflow.run
    async def run(self, sign_in: SignInInput) -> SignInOutcome:
        """Check the request. Return how it ended, which later attempts ask for."""
        if self._request.attempt == 1:
            return await self._judge_first_attempt(await self._check_request())

        findings, first = await asyncio.gather(self._check_request(), self._await_first_attempt())
        return await self._pass_on_later_attempt(findings, first)

    async def _judge_first_attempt(self, findings: _Findings) -> SignInOutcome:
        """Hand the sign-in to its mailbox, or reject it."""
        reason, email, key_id = findings
        if reason is None:
            key_id = key_id or await self._issue_code(durably=True)
            return await self._accept(_required(email.account), _required(email.mailbox), key_id)

        if self._is_done_again:
            return await self._reject_through_mailbox(reason, email)
        return await self._reject(reason, email)

    async def _reject_through_mailbox(self, reason: RejectReason, email: EmailVerdict) -> SignInOutcome:
        """Let the mailbox reject the sign-in, unless it was handed over before.

        A worker may have been about to hand the sign-in over, or have done so, before it froze or
        died. Then the first task went to another worker, at a later time: the request is stale by
        then, its token is spent, or DNS answers differently. History shows that the first task was
        done again; once it has completed, what was found is in history and stays. Whichever message
        comes first counts, even if the other worker thaws only now. An address without a mailbox
        was never handed over.
        """
        if email.mailbox is None:
            email = await self._check_email()
        if email.mailbox is None:
            return await self._reject(reason, email)

        rejection = Rejection(
            signin_id=self._request.signin_id,
            email=self._request.email,
            account=_required(email.account),
            reason=reason,
            decided_at=workflow.now(),
            traceparent=self._input.traceparent,
        )
        await self._hand_over(email.mailbox, rejection)
        return SignInOutcome(
            status="left_to_mailbox",
            reason=reason,
            account=email.account,
            mailbox=email.mailbox,
        )

    async def _reject(self, reason: RejectReason, email: EmailVerdict) -> SignInOutcome:
        await self._publish(
            SignInRejected(
                signin_id=self._request.signin_id,
                account=email.account,
                occurred_at=workflow.now(),
                reason=reason,
            )
        )
        return SignInOutcome(status="rejected", reason=reason)

    async def _pass_on_later_attempt(self, findings: _Findings, first: FirstAttempt) -> SignInOutcome:
        """Hand the attempt to the mailbox of attempt 1, so that its results come in order."""
        account = findings.email.account
        if first.status != "closed":
            return await self._refuse_unknown(account)

        outcome = first.outcome
        if outcome is None or outcome.mailbox is None:
            # Attempt 1 was rejected, so this one has no result. "late" stands in recorded outcomes.
            return SignInOutcome(status="late")

        if account is not None and account != outcome.account:
            return await self._refuse("account_mismatch", outcome.mailbox)
        if findings.reason is not None:
            return await self._refuse(findings.reason, outcome.mailbox)
        return await self._accept(_required(account), outcome.mailbox)

    async def _accept(self, account: str, mailbox: str, key_id: str | None = None) -> SignInOutcome:
        await self._hand_over(mailbox, self._challenge(account, key_id))
        return SignInOutcome(status="accepted", account=account, mailbox=mailbox)

    async def _refuse(self, reason: ResendRefusal, mailbox: str) -> SignInOutcome:
        refusal = Refusal(
            signin_id=self._request.signin_id,
            attempt=self._request.attempt,
            reason=reason,
            decided_at=workflow.now(),
            traceparent=self._input.traceparent,
        )
        await self._hand_over(mailbox, refusal)
        return SignInOutcome(status="refused", reason=reason)

    async def _refuse_unknown(self, account: str | None) -> SignInOutcome:
        result = ResendRefused(
            signin_id=self._request.signin_id,
            account=account,
            occurred_at=workflow.now(),
            attempt=self._request.attempt,
            reason="unknown_signin",
        )
        await self._publish(result)
        return SignInOutcome(status="refused", reason=result.reason)

    async def _check_request(self) -> _Findings:
        """Check the age, then address and token side by side, and issue the code beside them.

        A bad address takes precedence over a bad token.
        """
        if is_stale(self._input.born_at, self._policy, workflow.now()):
            return _Findings("stale", EmailVerdict())

        email, token_reason, key_id = await asyncio.gather(self._check_email(), self._check_token(), self._issue_code())
        return _Findings(email.reason or token_reason, email, key_id)

    async def _check_email(self) -> EmailVerdict:
        task = EmailToCheck(email=self._request.email, traceparent=self._input.traceparent)
        return await run_step(EmailActivities.validate_email_activity, task)

    async def _check_token(self) -> RejectReason | None:
        request = self._request
        task = TokenToCheck(
            signin_id=request.signin_id,
            attempt=request.attempt,
            token=request.turnstile_token,
            ip=valid_ip(request.client.ip),
            traceparent=self._input.traceparent,
        )
        within = challenge_limit(self._policy)

        try:
            verdict = await run_step(
                TurnstileActivities.verify_turnstile_activity,
                task,
                within=within,
            )
        except FailureError:
            return "challenge_unavailable"
        return None if verdict.passed else "challenge_failed"

    async def _issue_code(self, *, durably: bool = False) -> str | None:
        """Choose the key of the code, or return None. A later attempt sends the code of the first again.

        Beside the checks nobody waits for a worker that is slow: the request may be rejected.
        """
        request = self._request
        digits = self._policy.otp.digits
        task = CodeToIssue(signin_id=request.signin_id, digits=digits, traceparent=self._input.traceparent)
        generate = OtpActivities.generate_otp_activity

        try:
            if durably:
                return (await run_durable_step(generate, task, within=issue_limit(self._policy))).key_id
            return None if request.attempt > 1 else (await run_local_step(generate, task)).key_id
        except FailureError:
            return None

    async def _await_first_attempt(self) -> FirstAttempt:
        """Wait, for a limited time, until attempt 1 has closed.

        Its event may come later than this one, or never.
        """
        query = FirstAttemptQuery(signin_id=self._request.signin_id)
        give_up_at = workflow.now() + timedelta(seconds=self._policy.times.first_attempt_wait_s)
        interval_s = 1

        while True:
            first = await run_step(HandOverActivities.read_first_attempt_activity, query)
            left_s = (give_up_at - workflow.now()).total_seconds()
            if first.status == "closed" or left_s <= 0:
                return first

            await asyncio.sleep(min(interval_s, left_s))
            interval_s = min(2 * interval_s, _MAX_POLL_INTERVAL_S)

    def _challenge(self, account: str, key_id: str | None) -> Challenge:
        request = self._request
        client = request.client

        return Challenge(
            signin_id=request.signin_id,
            attempt=request.attempt,
            email=request.email,
            account=account,
            requested_at=request.requested_at,
            born_at=self._input.born_at,
            decided_at=workflow.now(),
            key_id=key_id,
            network=network_of(client.ip),
            ip=valid_ip(client.ip),
            browser=browser_of(client.user_agent),
            locale=client.locale,
            trusted=client.trusted_device,
            traceparent=self._input.traceparent,
            policy=self._policy,
        )

    async def _hand_over(self, mailbox: str, message: Challenge | Refusal | Rejection) -> None:
        task = HandOver(mailbox=mailbox, message=message, policy=self._policy)
        await run_step(
            HandOverActivities.hand_over_activity,
            task,
            non_retryable=["HandOverRefused"],
        )

    async def _publish(self, result: Result) -> None:
        event = ResultEvent(
            result=result,
            traceparent=self._input.traceparent,
            masked=masked(self._request.email),
        )
        publication = Publication(events=(event,))

        await run_durable_step(PublishingActivities.publish_result_activity, publication)


def _required(pseudonym: str | None) -> str:
    if pseudonym is None:
        raise ValueError("an acceptable address must have its pseudonyms")
    return pseudonym
