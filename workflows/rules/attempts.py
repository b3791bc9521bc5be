"""Whether an attempt may be mailed a code; if not, why and until when."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from schemas.mailbox import MailboxState, PendingMail, SignIn
from schemas.policy import Policy
from schemas.results import RejectReason, ResendRefusal
from schemas.signals import Challenge
from workflows.rules.budgets import Budgets

MOST_LIVE = 64

Reason = TypeVar("Reason", bound=str)


@dataclass(frozen=True)
class Obstacle(Generic[Reason]):
    """Why not, and when the way is free."""

    reason: Reason
    free_at: datetime | None = None


def is_stale(born_at: datetime, policy: Policy, now: datetime) -> bool:
    """Tell whether a request has lost its use: nobody waits for that mail any more."""
    return now - born_at > timedelta(seconds=policy.times.max_event_age_s)


def obstacle_to_open(
    state: MailboxState, budgets: Budgets, challenge: Challenge, now: datetime
) -> Obstacle[RejectReason] | None:
    """Look at attempt 1: freshness, lock, then room and budget."""
    if is_stale(challenge.born_at, state.policy, now):
        return Obstacle("stale")
    if locked_until := budgets.locked_until(challenge.account, challenge.network, challenge.trusted, now):
        return Obstacle("locked", locked_until)
    if len(state.live) >= MOST_LIVE:
        return Obstacle("throttled", min(sign_in.expires_at for sign_in in state.live.values()))
    if blocked_until := budgets.mail_blocked_until(challenge.network, challenge.trusted, now):
        return Obstacle("throttled", blocked_until)
    return None


def obstacle_to_resend(
    state: MailboxState, budgets: Budgets, sign_in: SignIn, challenge: Challenge, now: datetime
) -> Obstacle[ResendRefusal] | None:
    """Look at a later attempt. Account, network and trust are those of attempt 1 (SECURITY S6)."""
    if is_stale(challenge.born_at, state.policy, now):
        return Obstacle("stale")
    if challenge.account != sign_in.account:
        return Obstacle("account_mismatch")
    if sign_in.expires_at - now < timedelta(seconds=sign_in.otp.shortest_resend_s):
        return Obstacle("expiring")
    if locked_until := budgets.locked_until(sign_in.account, sign_in.network, sign_in.trusted, now):
        return Obstacle("locked", locked_until)
    cooled_down_at = resend_after(state, sign_in)
    blocked_until = budgets.mail_blocked_until(sign_in.network, sign_in.trusted, now)
    free_at = max(cooled_down_at, blocked_until or now)
    return Obstacle("throttled", free_at) if free_at > now else None


def resend_after(state: MailboxState, sign_in: SignIn) -> datetime:
    """Return the end of the cooldown after the last mail."""
    return sign_in.last_send_at + timedelta(seconds=state.policy.limits.send_cooldown_s)


def opened(challenge: Challenge, nonce: str, now: datetime) -> SignIn:
    """Return a new sign-in. Its code expires a lifetime from now, whatever comes later."""
    return SignIn(
        signin_id=challenge.signin_id,
        email=challenge.email,
        account=challenge.account,
        network=challenge.network,
        trusted=challenge.trusted,
        locale=challenge.locale,
        traceparent=challenge.traceparent,
        born_at=challenge.born_at,
        otp=challenge.policy.otp,
        nonce=nonce,
        expires_at=now + timedelta(seconds=challenge.policy.otp.lifetime_s),
        last_send_at=now,
    )


def planned_mail(challenge: Challenge, policy: Policy, now: datetime) -> PendingMail:
    """Return the mail of an attempt, to be sent at once."""
    return PendingMail(
        attempt=challenge.attempt,
        requested_at=challenge.requested_at,
        ip=challenge.ip,
        browser=challenge.browser,
        not_before=now,
        resend_after=now + timedelta(seconds=policy.limits.send_cooldown_s),
        traceparent=challenge.traceparent,
    )
