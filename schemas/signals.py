"""What goes into the two workflows and comes out of them: inputs, signals, outcomes."""

from typing import Literal

from schemas.fields import Attempt, Message, SignInId, SubmissionId, Timestamp
from schemas.inbound import SignInRequested
from schemas.policy import Policy
from schemas.results import ResendRefusal


class SignInInput(Message):
    """Input of ``sign_in_workflow``: one request.

    ``born_at`` is the earliest of the stamps that count for its age (the broker's, a dead letter's, else its own),
    never after the moment it was read.
    """

    request: SignInRequested
    born_at: Timestamp
    traceparent: str | None = None
    policy: Policy


class SignInOutcome(Message):
    """Result of ``sign_in_workflow``. ``account`` and ``mailbox`` are pseudonyms, there once accepted."""

    status: Literal["accepted", "rejected", "refused", "late"]
    reason: str | None = None
    account: str | None = None
    mailbox: str | None = None


class Challenge(Message):
    """Signal ``open_or_resend``: an acceptable attempt, handed to the mailbox.

    Attempt 1 opens the sign-in. ``network`` is the client's /24 or /48, or ``unknown``.
    """

    signin_id: SignInId
    attempt: Attempt
    email: str
    account: str
    requested_at: Timestamp
    born_at: Timestamp
    network: str = "unknown"
    ip: str | None = None
    browser: str | None = None
    locale: str | None = None
    trusted: bool = False
    traceparent: str | None = None
    policy: Policy


class Refusal(Message):
    """Signal ``refuse_resend``: an attempt from 2 on was not acceptable; the mailbox says so in order."""

    signin_id: SignInId
    attempt: Attempt
    reason: ResendRefusal
    traceparent: str | None = None


class Submission(Message):
    """Signal ``submit``: a code that a person typed, sealed by the consumer (no code in clear here).

    ``seal`` is base64url of HMAC-SHA-256 over sign-in id and code under the code key ``key_id``.
    """

    signin_id: SignInId
    submission_id: SubmissionId
    account: str
    seal: str
    key_id: str
    submitted_at: Timestamp
    traceparent: str | None = None
