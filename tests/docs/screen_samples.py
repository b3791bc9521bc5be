"""Made-up facts for the screens of ``status`` and ``trace``: a stack that is behind, and a sign-in with a slow mail."""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from schemas.status import PartitionLag, Status, Trace, TraceEvent, WorkerPage, WorkflowCounts

_NOW: Final = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
_BEHIND: Final = {("signin.requested", 1): (12, 95), ("otp.submitted", 0): (3, 4)}
_Where = Literal["Kafka", "request", "mailbox"]


def _lag(topic: str, partition: int) -> PartitionLag:
    end = 48_211 + 97 * partition
    lag, age_s = _BEHIND.get((topic, partition), (0, 0))
    oldest = _NOW - timedelta(seconds=age_s) if lag else None
    return PartitionLag(topic=topic, partition=partition, end=end, committed=end - lag, lag=lag, oldest=oldest)


STATUS: Final = Status(
    at=_NOW,
    partitions=tuple(_lag(topic, number) for topic in ("signin.requested", "otp.submitted") for number in range(3)),
    workflows=WorkflowCounts(
        by_status={
            "sign_in_workflow": {"Running": 14, "Completed": 96_310},
            "verify_otp_workflow": {"Running": 41_007, "Completed": 38_116, "ContinuedAsNew": 5, "Terminated": 1},
        },
        waiting=212,
        locked=3,
    ),
    worker=WorkerPage(
        missing=("halted: Temporal does not answer, or too many dead letters",),
        in_flight=15,
        limit=9,
        breaker_open=True,
        rebuilds=0,
        records={"applied": 31_877, "duplicate": 4, "late": 12, "ignored": 0, "dead_lettered": 2},
        results={
            "signin.code_sent": 16_012,
            "signin.succeeded": 14_890,
            "signin.expired": 880,
            "signin.rejected throttled": 31,
            "otp.rejected wrong_code": 1_204,
        },
        mails={"accepted": 16_012, "unavailable": 7, "refused": 3},
    ),
    away={},
)


def _moment(after_s: float, where: _Where, what: str, **details: str | int) -> TraceEvent:
    return TraceEvent(at=_NOW + timedelta(seconds=after_s), where=where, what=what, details=details)


_SUBMISSION: Final = "0a6e3d5e-6f0e-4c39-9a53-6a5f1c2f9d10"
TRACE: Final = Trace(
    signin_id="rJ3hQ0m1TzC9vWcK8uYbXw",
    account="pQ3vT0yIxkqB8m2sUe6nJ5rLz1wHcGdFa7oXbYt9KVM",
    mailbox="Zk1mC4nR8tWq0xLsYv6uJb2hPe5gDfAo9iTcXr7KHsE",
    masked="a***@e***.com",
    outcome="signin.succeeded",
    moments=(
        _moment(0, "Kafka", "record on signin.requested", partition=1, offset=48_296),
        _moment(0.021, "request", "request taken", attempt=1, waited_ms=21),
        _moment(0.064, "request", "validate_email_activity done", attempt=1),
        _moment(0.131, "request", "verify_turnstile_activity done", attempt=1),
        _moment(0.139, "mailbox", "attempt handed over", attempt=1),
        _moment(0.142, "request", "request accepted", attempt=1),
        _moment(9.160, "mailbox", "send_email_activity failed", error="MailUnavailable", attempt=1),
        _moment(11.402, "mailbox", "send_email_activity done", attempt=1),
        _moment(11.402, "mailbox", "decided signin.code_sent", attempt=1),
        _moment(11.420, "Kafka", "published signin.code_sent", event_id="6a3f2d1e-77aa-5b5e-9d8f-0f3a1f5b9f52"),
        _moment(38.007, "Kafka", "record on otp.submitted", partition=1, offset=48_307),
        _moment(38.015, "mailbox", "code submitted", submission_id=_SUBMISSION),
        _moment(38.024, "mailbox", "decided signin.succeeded"),
        _moment(38.031, "Kafka", "published signin.succeeded", event_id="b7c0a2d4-1a55-5f0e-8b1c-6d1f6f0f5f3c"),
        _moment(38.033, "Kafka", "signin.succeeded on signin.results", partition=4, offset=96_551),
    ),
)
