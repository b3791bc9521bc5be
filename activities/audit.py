"""The audit trail: one line for each decision, in the words of OWASP's Logging Vocabulary (SECURITY S15).

``docs/audit.md`` has the table. The logger ``audit`` can be routed by its name. A decision that is published again is
told again, under the same ``event_id``.
"""

import logging
from typing import Final, NamedTuple

from schemas.limits import Clearing
from schemas.results import ResultEvent

logger = logging.getLogger("audit")

_INFO, _WARN = logging.INFO, logging.WARNING


class Entry(NamedTuple):
    """What a decision is called, and how loud it is."""

    event: str
    level: int


_BY_REASON: Final = {
    "invalid_email": Entry("input_validation_fail", _WARN),
    "undeliverable_email": Entry("input_validation_fail", _WARN),
    "challenge_failed": Entry("authn_login_fail", _WARN),
    "challenge_unavailable": Entry("authn_login_fail", _WARN),
    "throttled": Entry("excess_rate_limit_exceeded", _WARN),
    "locked": Entry("authn_login_lock", _WARN),
    "stale": Entry("input_validation_fail", _WARN),
    "expiring": Entry("excess_rate_limit_exceeded", _INFO),
    "account_mismatch": Entry("malicious_direct_reference", _WARN),
    "unknown_signin": Entry("authn_login_fail", _WARN),
    "wrong_code": Entry("authn_login_fail", _WARN),
    "too_many_attempts": Entry("authn_login_fail_max", _WARN),
    "delivery_failed": Entry("authn_login_fail", _WARN),
}
_BY_TYPE: Final = {
    "signin.code_sent": Entry("authn_token_created", _INFO),
    "signin.succeeded": Entry("authn_login_success", _INFO),
    "signin.expired": Entry("signin_expired", _INFO),
}
_TOLD: Final = ("attempt", "submission_id", "reason", "attempts_left", "retry_after_s")


def entry_of(result_type: str, reason: str | None) -> Entry:
    """Return how a result is told: by its reason, or by its type if it has none. Raises ``KeyError`` for others."""
    return _BY_TYPE[result_type] if reason is None else _BY_REASON[reason]


def audit(event: ResultEvent) -> None:
    """Tell a decision that Kafka has. Who it is about is told by pseudonym and by a masked address."""
    result = event.result
    entry = entry_of(result.type, getattr(result, "reason", None))
    told = {name: value for name in _TOLD if (value := getattr(result, name, None)) is not None}
    fields = {
        "audit_event": f"{entry.event}:{result.account or 'unknown'}",
        "event_id": event.event_id,
        "result": result.type,
        "signin_id": result.signin_id,
        "account": result.account,
        "masked_address": event.masked,
        "decided_at": result.occurred_at.isoformat(),
        **told,
    }
    logger.log(entry.level, entry.event, extra=fields)


def audit_clearing(clearing: Clearing) -> None:
    """Tell that an operator gave budgets back, which ones, to whom."""
    fields = {
        "audit_event": f"authz_admin:{clearing.operator},limits_cleared",
        "operator": clearing.operator,
        "account": clearing.account,
        "masked_address": clearing.masked,
        "mails": clearing.mails,
        "failures": clearing.failures,
    }
    logger.warning("authz_admin", extra=fields)
