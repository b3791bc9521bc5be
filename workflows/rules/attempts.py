"""Whether an attempt may be mailed a code; if not, why, and when it may."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from schemas.mailbox import MailboxState, PendingMail, SignIn
from schemas.policy import Policy
from schemas.results import RejectReason, ResendRefusal
from schemas.signals import Challenge, Refusal
from workflows.rules.budgets import Budgets

MAX_LIVE_SIGN_INS = 64

Reason = TypeVar("Reason", bound=str)


@dataclass(frozen=True)
class Obstacle(Generic[Reason]):
    """Why an attempt is not acceptable, and when it would be, if time helps."""

    reason: Reason
    free_at: datetime | None = None


def is_stale(born_at: datetime, policy: Policy, now: datetime) -> bool:
    """Tell whether a request is so old that nobody is waiting for its mail any more."""
    return now - born_at > timedelta(seconds=policy.times.max_event_age_s)


def obstacle_to_open(
    state: MailboxState,
    budgets: Budgets,
    challenge: Challenge,
    now: datetime,
) -> Obstacle[RejectReason] | None:
    """Check attempt 1: its age, the lock, the live sign-ins, then the mail budget."""
    if is_stale(challenge.born_at, state.policy, now):
        return Obstacle("stale")
    if locked_until := budgets.locked_until(challenge, now):
        return Obstacle("locked", locked_until)

    if len(state.live) >= MAX_LIVE_SIGN_INS:
        next_expiry = min(sign_in.expires_at for sign_in in state.live.values())
        return Obstacle("throttled", next_expiry)
    if blocked_until := budgets.mail_blocked_until(challenge, now):
        return Obstacle("throttled", blocked_until)
    return None


def obstacle_to_resend(
    state: MailboxState,
    budgets: Budgets,
    sign_in: SignIn,
    challenge: Challenge,
    now: datetime,
) -> Obstacle[ResendRefusal] | None:
    """Check a later attempt.

    Account, network and trust are those of attempt 1 (SECURITY S6).
    """
    if is_stale(challenge.born_at, state.policy, now):
        return Obstacle("stale")
    if challenge.account != sign_in.account:
        return Obstacle("account_mismatch")
    if sign_in.expires_at - now < timedelta(seconds=sign_in.otp.shortest_resend_s):
        return Obstacle("expiring")
    if locked_until := budgets.locked_until(sign_in, now):
        return Obstacle("locked", locked_until)

    cooled_down_at = sign_in.last_send_at + _cooldown(state.policy)
    blocked_until = budgets.mail_blocked_until(sign_in, now)
    free_at = max(cooled_down_at, blocked_until or now)
    return Obstacle("throttled", free_at) if free_at > now else None


def sign_in_to_resend(
    state: MailboxState,
    message: Challenge | Refusal,
    at: datetime,
) -> SignIn | None:
    """Return the live sign-in that a later attempt is for, unless it is a repeat or comes after the end."""
    sign_in = state.live.get(message.signin_id)
    if sign_in is None or message.attempt in sign_in.attempts:
        return None

    is_open = sign_in.ending is None and at < sign_in.expires_at
    return sign_in if is_open else None


def new_sign_in(challenge: Challenge, nonce: str, key_id: str, now: datetime) -> SignIn:
    """Return the sign-in that attempt 1 opens.

    Its code expires a lifetime from now; nothing prolongs it.
    """
    otp = challenge.policy.otp

    return SignIn(
        signin_id=challenge.signin_id,
        email=challenge.email,
        account=challenge.account,
        network=challenge.network,
        trusted=challenge.trusted,
        locale=challenge.locale,
        traceparent=challenge.traceparent,
        stale_at=challenge.born_at + timedelta(seconds=challenge.policy.times.max_event_age_s),
        otp=otp,
        nonce=nonce,
        key_id=key_id,
        expires_at=now + timedelta(seconds=otp.lifetime_s),
        last_send_at=now,
    )


def new_mail(challenge: Challenge, policy: Policy, now: datetime) -> PendingMail:
    """Return the mail of an attempt, due at once."""
    return PendingMail(
        attempt=challenge.attempt,
        requested_at=challenge.requested_at,
        ip=challenge.ip,
        browser=challenge.browser,
        not_before=now,
        resend_after=now + _cooldown(policy),
        traceparent=challenge.traceparent,
    )


def _cooldown(policy: Policy) -> timedelta:
    return timedelta(seconds=policy.limits.send_cooldown_s)
