"""The seven results that the worker publishes, as CloudEvents records (CONTRACT: outbound).

Each class is one ``ce_type``. Members are written in the order in which they are declared here;
those that are None are left out.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from schemas.fields import Attempt, Message, SignInId, SubmissionId, Timestamp

RejectReason = Literal[
    "invalid_email",
    "undeliverable_email",
    "challenge_failed",
    "challenge_unavailable",
    "throttled",
    "locked",
    "stale",
]
ResendRefusal = Literal[
    "challenge_failed",
    "challenge_unavailable",
    "throttled",
    "locked",
    "stale",
    "expiring",
    "account_mismatch",
    "unknown_signin",
    "invalid_email",
    "undeliverable_email",
]
OtpRejection = Literal["wrong_code", "locked", "unknown_signin"]
Failure = Literal["too_many_attempts", "delivery_failed"]
RetryAfter = Annotated[int, Field(ge=1)]

CODE_SENT: Final = "signin.code_sent"
REJECTED: Final = "otp.rejected"
SUCCEEDED: Final = "signin.succeeded"
FAILED: Final = "signin.failed"
TERMINAL_TYPES = frozenset({"signin.succeeded", "signin.failed", "signin.expired", "signin.rejected"})


class _Result(Message):
    signin_id: SignInId
    account: str | None = None
    occurred_at: Timestamp


class CodeSent(_Result):
    """The mail server accepted the mail."""

    type: Literal["signin.code_sent"] = "signin.code_sent"
    attempt: Attempt
    expires_at: Timestamp
    resend_after: Timestamp


class ResendRefused(_Result):
    """Attempt 2 or later was not accepted; the sign-in goes on."""

    type: Literal["signin.resend_refused"] = "signin.resend_refused"
    attempt: Attempt
    reason: ResendRefusal
    retry_after_s: RetryAfter | None = None


class OtpRejected(_Result):
    """The code was not accepted. With ``locked`` it was neither compared nor charged as a try."""

    type: Literal["otp.rejected"] = "otp.rejected"
    submission_id: SubmissionId
    reason: OtpRejection
    attempts_left: Annotated[int, Field(ge=0)] | None = None
    retry_after_s: RetryAfter | None = None


class SignInSucceeded(_Result):
    """The right code arrived in time. Terminal."""

    type: Literal["signin.succeeded"] = "signin.succeeded"
    submission_id: SubmissionId


class SignInFailed(_Result):
    """The sign-in has no tries left, or its mail could not be delivered. Terminal."""

    type: Literal["signin.failed"] = "signin.failed"
    reason: Failure


class SignInExpired(_Result):
    """No right code arrived within the lifetime. Terminal."""

    type: Literal["signin.expired"] = "signin.expired"


class SignInRejected(_Result):
    """Attempt 1 was not accepted; no mail was sent. Terminal."""

    type: Literal["signin.rejected"] = "signin.rejected"
    reason: RejectReason
    retry_after_s: RetryAfter | None = None


Result = Annotated[
    CodeSent | ResendRefused | OtpRejected | SignInSucceeded | SignInFailed | SignInExpired | SignInRejected,
    Field(discriminator="type"),
]

_EVENT_IDS = uuid.UUID("6d0c7a3e-1f5b-5c0e-9a41-2f6f0a6f5d11")
_SOURCE = "/signin-worker"
_TIMESTAMP: Final = TypeAdapter[datetime](Timestamp)


class ResultEvent(Message):
    """A result with what its Kafka record needs beside the value.

    ``submitted_at`` is the time of the submission that it answers, for the latency metric;
    ``masked`` is the address as the audit trail may show it. Neither is published.
    """

    result: Result
    traceparent: str | None = None
    submitted_at: Timestamp | None = None
    masked: str | None = None

    @property
    def event_id(self) -> str:
        """The ``ce_id``: the same for every publication of the same result (UUID version 5)."""
        result = self.result
        match result:
            case CodeSent() | ResendRefused():
                more = [str(result.attempt)]
            case OtpRejected():
                more = [result.account or "", result.submission_id]
            case _:
                more = []

        return _event_id(result.type, result.signin_id, *more)

    def key(self) -> bytes:
        """Return the record key, the sign-in's id."""
        return self.result.signin_id.encode()

    def value(self) -> bytes:
        """Return the record value, UTF-8 JSON without ``type``."""
        return self.result.model_dump_json(exclude={"type"}, exclude_none=True).encode()

    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Return the headers of CloudEvents 1.0 (Kafka protocol binding, binary mode)."""
        headers = {
            "ce_specversion": "1.0",
            "ce_id": self.event_id,
            "ce_source": _SOURCE,
            "ce_type": self.result.type,
            "ce_time": _TIMESTAMP.dump_python(self.result.occurred_at, mode="json"),
            "ce_subject": self.result.signin_id,
            "content-type": "application/json",
        }

        if self.traceparent is not None:
            headers["traceparent"] = self.traceparent

        return [(name, text.encode()) for name, text in headers.items()]


def code_sent_id(signin_id: str, attempt: int) -> str:
    """Return the ``ce_id`` of an attempt's ``signin.code_sent``."""
    return _event_id(CODE_SENT, signin_id, str(attempt))


def rejected_id(signin_id: str, account: str, submission_id: str) -> str:
    """Return the ``ce_id`` of a submission's ``otp.rejected``."""
    return _event_id(REJECTED, signin_id, account, submission_id)


def end_id(type: str, signin_id: str) -> str:
    """Return the ``ce_id`` of a sign-in's terminal result."""
    return _event_id(type, signin_id)


def _event_id(*parts: str) -> str:
    return str(uuid.uuid5(_EVENT_IDS, "\n".join(parts)))
