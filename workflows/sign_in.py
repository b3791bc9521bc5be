"""``SignInWorkflow``: one request. Is the address real, is it a person, is it fresh? Then the mailbox takes over."""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError

from activities.addresses import masked
from activities.email_check import EmailActivities
from activities.handing_over import HandOverActivities
from activities.publishing import PublishingActivities
from activities.turnstile_check import TurnstileActivities
from schemas.results import RejectReason, ResendRefusal, ResendRefused, Result, ResultEvent, SignInRejected
from schemas.signals import Challenge, Refusal, SignInInput, SignInOutcome
from schemas.tasks import (
    EmailToCheck,
    EmailVerdict,
    FirstAttempt,
    FirstAttemptQuery,
    HandOver,
    HandOverQuery,
    Publication,
    TokenToCheck,
)
from workflows.rules.attempts import is_stale
from workflows.rules.clients import browser_of, network_of, valid_ip
from workflows.names import SIGN_IN_WORKFLOW
from workflows.steps import durable_step, step

Reason = RejectReason

_LONGEST_PAUSE_S = 8
_EVENTS_OF_A_FIRST_TRY = 3  # the start, and the first workflow task scheduled and started


@workflow.defn(name=SIGN_IN_WORKFLOW)
class SignInWorkflow:
    """One attempt of one sign-in. Attempt 1 opens it or rejects it; later ones are for its mailbox to judge."""

    @workflow.init
    def __init__(self, sign_in: SignInInput) -> None:
        self._input = sign_in
        self._request = sign_in.request
        self._policy = sign_in.policy

    @workflow.run
    async def run(self, sign_in: SignInInput) -> SignInOutcome:
        """Check the request; return how it ended, for the attempts that come after it."""
        if self._request.attempt == 1:
            return await self._first_attempt()
        (reason, email), first = await asyncio.gather(self._checks(), self._await_first_attempt())
        return await self._later_attempt(reason, email, first)

    async def _first_attempt(self) -> SignInOutcome:
        reason, email = await self._checks()
        if reason is None:
            await self._hand_over(_known(email.mailbox), self._challenge(_known(email.account)))
            return SignInOutcome(status="accepted", account=email.account, mailbox=email.mailbox)
        taken = await self._handed_over_before()
        if taken is not None:
            return SignInOutcome(status="accepted", account=taken.account, mailbox=taken.mailbox)
        await self._publish(
            SignInRejected(
                signin_id=self._request.signin_id, account=email.account, occurred_at=workflow.now(), reason=reason
            )
        )
        return SignInOutcome(status="rejected", reason=reason)

    async def _handed_over_before(self) -> EmailVerdict | None:
        """Return whose mailbox has this sign-in already, though it is to be rejected now. None: no mailbox has.

        A worker handed it over and died before its task was completed; the task went to another one, at a later time,
        for which the request is stale, its token is spent, or DNS says otherwise. History shows such a task.
        """
        if workflow.info().get_current_history_length() <= _EVENTS_OF_A_FIRST_TRY:
            return None
        email = await self._check_email()
        if email.mailbox is None:
            return None
        query = HandOverQuery(mailbox=email.mailbox, signin_id=self._request.signin_id)
        return email if await durable_step(HandOverActivities.was_handed_over_activity, query) else None

    async def _later_attempt(self, reason: Reason | None, email: EmailVerdict, first: FirstAttempt) -> SignInOutcome:
        """Tell the mailbox of attempt 1; its results come in order, ours would not."""
        if first.status != "closed":
            return await self._refuse_unknown(email.account)
        outcome = first.outcome
        if outcome is None or outcome.mailbox is None:
            return SignInOutcome(status="late")
        refusal: ResendRefusal | None = reason
        if email.account is not None and email.account != outcome.account:
            refusal = "account_mismatch"
        if refusal is None:
            await self._hand_over(outcome.mailbox, self._challenge(_known(email.account)))
            return SignInOutcome(status="accepted", account=outcome.account, mailbox=outcome.mailbox)
        request = self._request
        await self._hand_over(
            outcome.mailbox,
            Refusal(
                signin_id=request.signin_id,
                attempt=request.attempt,
                reason=refusal,
                traceparent=self._input.traceparent,
            ),
        )
        return SignInOutcome(status="refused", reason=refusal)

    async def _refuse_unknown(self, account: str | None) -> SignInOutcome:
        request = self._request
        await self._publish(
            ResendRefused(
                signin_id=request.signin_id,
                account=account,
                occurred_at=workflow.now(),
                attempt=request.attempt,
                reason="unknown_signin",
            )
        )
        return SignInOutcome(status="refused", reason="unknown_signin")

    async def _checks(self) -> tuple[Reason | None, EmailVerdict]:
        """Look at freshness, then at address and token side by side. A bad address is the first thing to say."""
        if is_stale(self._input.born_at, self._policy, workflow.now()):
            return "stale", EmailVerdict()
        email, challenge = await asyncio.gather(self._check_email(), self._check_token())
        return email.reason or challenge, email

    async def _check_email(self) -> EmailVerdict:
        task = EmailToCheck(email=self._request.email, traceparent=self._input.traceparent)
        return await step(EmailActivities.validate_email_activity, task)

    async def _check_token(self) -> Reason | None:
        request = self._request
        token = TokenToCheck(
            signin_id=request.signin_id,
            attempt=request.attempt,
            token=request.turnstile_token,
            ip=valid_ip(request.client.ip),
            traceparent=self._input.traceparent,
        )
        within = timedelta(seconds=self._policy.times.challenge_s)
        try:
            verdict = await step(TurnstileActivities.verify_turnstile_activity, token, within=within)
        except FailureError:
            return "challenge_unavailable"
        return None if verdict.passed else "challenge_failed"

    async def _await_first_attempt(self) -> FirstAttempt:
        """Wait, bounded, until attempt 1 has closed. Its event may be behind this one, or not be at all."""
        patience_ends = workflow.now() + timedelta(seconds=self._policy.times.first_attempt_wait_s)
        query = FirstAttemptQuery(signin_id=self._request.signin_id)
        pause_s = 1
        while True:
            first = await step(HandOverActivities.read_first_attempt_activity, query)
            left_s = _seconds_left(patience_ends)
            if first.status == "closed" or left_s <= 0:
                return first
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _challenge(self, account: str) -> Challenge:
        request = self._request
        return Challenge(
            signin_id=request.signin_id,
            attempt=request.attempt,
            email=request.email,
            account=account,
            requested_at=request.requested_at,
            born_at=self._input.born_at,
            network=network_of(request.client.ip),
            ip=valid_ip(request.client.ip),
            browser=browser_of(request.client.user_agent),
            locale=request.client.locale,
            trusted=request.client.trusted_device,
            traceparent=self._input.traceparent,
            policy=self._policy,
        )

    async def _hand_over(self, mailbox: str, message: Challenge | Refusal) -> None:
        task = HandOver(mailbox=mailbox, message=message, policy=self._policy)
        await step(HandOverActivities.hand_over_activity, task, never=["HandOverRefused"])

    async def _publish(self, result: Result) -> None:
        event = ResultEvent(result=result, traceparent=self._input.traceparent, masked=masked(self._request.email))
        await durable_step(PublishingActivities.publish_result_activity, Publication(events=(event,)))


def _known(pseudonym: str | None) -> str:
    if pseudonym is None:
        raise ValueError("an address without a fault has its pseudonyms")
    return pseudonym


def _seconds_left(moment: datetime) -> float:
    return (moment - workflow.now()).total_seconds()
