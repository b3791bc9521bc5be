"""Inputs, signals and outcomes of the two workflows."""

from typing import Literal

from schemas.fields import Attempt, Format, Message, SignInId, SubmissionId, Timestamp
from schemas.inbound import SignInRequested
from schemas.policy import Policy
from schemas.results import RejectReason, ResendRefusal


class SignInInput(Message):
    """Input of ``sign_in_workflow``: one request.

    Its age counts from ``born_at``: the earliest of the broker's timestamp and a dead
    letter's, otherwise the request's own; never later than the moment it was read.
    """

    format: Format = 1
    request: SignInRequested
    born_at: Timestamp
    traceparent: str | None = None
    policy: Policy


class SignInOutcome(Message):
    """Result of ``sign_in_workflow``.

    A request that reached its mailbox has ``account`` and ``mailbox``, both pseudonyms.
    ``left_to_mailbox``: a task that was done again would reject it for ``reason``; the mailbox
    does so, unless the sign-in was handed over before.
    """

    status: Literal["accepted", "rejected", "left_to_mailbox", "refused", "late"]
    reason: str | None = None
    account: str | None = None
    mailbox: str | None = None


class Challenge(Message):
    """Signal ``open_or_resend``: an acceptable attempt, handed to its mailbox.

    Attempt 1 opens the sign-in, whose code is derived under ``key_id``; it is None if no worker
    could choose a key. ``network`` is the client's /24 or /48, or ``unknown``. ``decided_at``: when
    its request was found acceptable, by Temporal's clock.
    """

    format: Format = 1
    signin_id: SignInId
    attempt: Attempt
    email: str
    account: str
    requested_at: Timestamp
    born_at: Timestamp
    decided_at: Timestamp
    key_id: str | None = None
    network: str = "unknown"
    ip: str | None = None
    browser: str | None = None
    locale: str | None = None
    trusted: bool = False
    traceparent: str | None = None
    policy: Policy


class Refusal(Message):
    """Signal ``refuse_resend``: a later attempt was not acceptable.

    The mailbox publishes this in order. ``decided_at``: when its request was refused.
    """

    format: Format = 1
    signin_id: SignInId
    attempt: Attempt
    reason: ResendRefusal
    decided_at: Timestamp
    traceparent: str | None = None


class Rejection(Message):
    """Signal ``reject``: attempt 1 was not acceptable, when its task was done again.

    The mailbox publishes it, unless the sign-in was handed over before. A hand-over that comes
    after it changes nothing.
    """

    format: Format = 1
    signin_id: SignInId
    email: str
    account: str
    reason: RejectReason
    decided_at: Timestamp
    traceparent: str | None = None

    @property
    def attempt(self) -> int:
        """The attempt that is rejected: the first."""
        return 1


class Submission(Message):
    """Signal ``submit``: a code that a person typed. The consumer has sealed it.

    ``seal`` is the base64url HMAC-SHA-256 of sign-in id and code under the code key
    ``key_id``. It counts as submitted at ``read_at``, when the consumer read it, whatever its
    emitter says.
    """

    format: Format = 1
    signin_id: SignInId
    submission_id: SubmissionId
    account: str
    seal: str
    key_id: str
    submitted_at: Timestamp
    read_at: Timestamp
    traceparent: str | None = None
