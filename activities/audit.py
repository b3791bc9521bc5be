"""The audit trail: one log line per decision (SECURITY S15).

Events are named as in OWASP's Logging Vocabulary; ``docs/audit.md`` has the table. The
logger is named ``audit``, so it can be routed on its own. A result that is published again is
logged again under the same ``event_id``.
"""

import logging
from typing import Final, NamedTuple

from schemas.limits import Clearing
from schemas.results import ResultEvent

logger = logging.getLogger("audit")

_INFO: Final = logging.INFO
_WARN: Final = logging.WARNING


class AuditEntry(NamedTuple):
    """The event name of a decision, and its log level."""

    event: str
    level: int


_BY_REASON: Final = {
    "invalid_email": AuditEntry("input_validation_fail", _WARN),
    "undeliverable_email": AuditEntry("input_validation_fail", _WARN),
    "challenge_failed": AuditEntry("authn_login_fail", _WARN),
    "challenge_unavailable": AuditEntry("authn_login_fail", _WARN),
    "throttled": AuditEntry("excess_rate_limit_exceeded", _WARN),
    "locked": AuditEntry("authn_login_lock", _WARN),
    "stale": AuditEntry("input_validation_fail", _WARN),
    "expiring": AuditEntry("excess_rate_limit_exceeded", _INFO),
    "account_mismatch": AuditEntry("malicious_direct_reference", _WARN),
    "unknown_signin": AuditEntry("authn_login_fail", _WARN),
    "wrong_code": AuditEntry("authn_login_fail", _WARN),
    "too_many_attempts": AuditEntry("authn_login_fail_max", _WARN),
    "delivery_failed": AuditEntry("authn_login_fail", _WARN),
}
_BY_TYPE: Final = {
    "signin.code_sent": AuditEntry("authn_token_created", _INFO),
    "signin.succeeded": AuditEntry("authn_login_success", _INFO),
    "signin.expired": AuditEntry("signin_expired", _INFO),
}
_DETAILS: Final = ("attempt", "submission_id", "reason", "attempts_left", "retry_after_s")


def audit_entry(result_type: str, reason: str | None) -> AuditEntry:
    """Return the entry for a result's reason, or for its type if it has no reason.

    Raises ``KeyError`` for a reason or type that is not in the table.
    """
    return _BY_TYPE[result_type] if reason is None else _BY_REASON[reason]


def audit_result(event: ResultEvent) -> None:
    """Log a decision once Kafka has it, with the account's pseudonym and a masked address."""
    result = event.result
    entry = audit_entry(result.type, getattr(result, "reason", None))

    members = {name: getattr(result, name, None) for name in _DETAILS}
    details = {name: value for name, value in members.items() if value is not None}

    fields = {
        "audit_event": f"{entry.event}:{result.account or 'unknown'}",
        "event_id": event.event_id,
        "result": result.type,
        "signin_id": result.signin_id,
        "account": result.account,
        "masked_address": event.masked,
        "decided_at": result.occurred_at.isoformat(),
        **details,
    }
    logger.log(entry.level, entry.event, extra=fields)


def audit_clearing(clearing: Clearing) -> None:
    """Log which budgets an operator restored, and for which account."""
    fields = {
        "audit_event": f"authz_admin:{clearing.operator},limits_cleared",
        "operator": clearing.operator,
        "account": clearing.account,
        "masked_address": clearing.masked,
        "mails": clearing.mails,
        "failures": clearing.failures,
    }
    logger.warning("authz_admin", extra=fields)


def audit_erasure(operator: str, mailbox: str, workflows: int, *, limits_lost: bool) -> None:
    """Log that an operator erased a mailbox, named by its pseudonym, and whether its limits are lost."""
    fields = {
        "audit_event": f"sensitive_delete:{operator},mailbox",
        "operator": operator,
        "mailbox": mailbox,
        "workflows": workflows,
        "limits_lost": limits_lost,
    }
    logger.warning("sensitive_delete", extra=fields)
