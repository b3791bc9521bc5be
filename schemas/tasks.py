"""Inputs and outputs of the activities."""

from typing import Literal

from schemas.fields import Attempt, Message, SignInId, Timestamp
from schemas.policy import Policy
from schemas.results import ResultEvent
from schemas.signals import Challenge, Refusal, Rejection, SignInOutcome


class Traced(Message):
    """Base of inputs that name the trace the activity belongs to (W3C ``traceparent``)."""

    traceparent: str | None = None


class EmailToCheck(Traced):
    """Input of ``validate_email_activity``: the address as given."""

    email: str


class EmailVerdict(Message):
    """Output of ``validate_email_activity``.

    ``account`` and ``mailbox`` are pseudonyms (HMAC, base64url). An ``invalid_email`` has
    neither.
    """

    reason: Literal["invalid_email", "undeliverable_email"] | None = None
    account: str | None = None
    mailbox: str | None = None


class TokenToCheck(Traced):
    """Input of ``verify_turnstile_activity``."""

    signin_id: SignInId
    attempt: Attempt
    token: str | None
    ip: str | None = None


class TokenVerdict(Message):
    """Output of ``verify_turnstile_activity``.

    ``why`` names the field that failed, for the log.
    """

    passed: bool
    why: str | None = None


class HandOver(Message):
    """Input of ``hand_over_activity``: a message for a mailbox."""

    mailbox: str
    message: Challenge | Refusal | Rejection
    policy: Policy


class FirstAttemptQuery(Message):
    """Input of ``read_first_attempt_activity``."""

    signin_id: SignInId


class FirstAttempt(Message):
    """Output of ``read_first_attempt_activity``: the state of attempt 1, and its outcome.

    An attempt 1 that failed or was terminated is ``closed`` without an outcome.
    """

    status: Literal["unknown", "running", "closed"]
    outcome: SignInOutcome | None = None


class CodeToIssue(Traced):
    """Input of ``generate_otp_activity``."""

    signin_id: SignInId
    digits: int


class IssuedCode(Message):
    """Output of ``generate_otp_activity``: the id of the code's key, never the code."""

    key_id: str


class MailToSend(Traced):
    """Input of ``send_email_activity``.

    The activity derives the code, so that history never holds it.
    """

    signin_id: SignInId
    attempt: Attempt
    email: str
    account: str
    nonce: str
    key_id: str
    digits: int
    expires_at: Timestamp
    requested_at: Timestamp
    locale: str | None = None
    ip: str | None = None
    browser: str | None = None


class MailAccepted(Message):
    """Output of ``send_email_activity``: when the mail was accepted, by the worker's clock."""

    at: Timestamp


class CodeToVerify(Traced):
    """Input of ``verify_otp_activity``.

    ``submission_traceparent`` is the trace of the event with the code.
    """

    signin_id: SignInId
    account: str
    nonce: str
    key_id: str
    digits: int
    seal: str
    seal_key_id: str
    submission_traceparent: str | None = None


class CodeVerdict(Message):
    """Output of ``verify_otp_activity``."""

    correct: bool


class Publication(Message):
    """Input of ``publish_result_activity``: results of several sign-ins.

    Those of one sign-in are published in order, those of different ones in any order.
    """

    events: tuple[ResultEvent, ...]


class Published(Message):
    """Output of ``publish_result_activity``: the ``ce_id`` of each acknowledged result.

    It is there so that history names what was published.
    """

    event_ids: tuple[str, ...]
