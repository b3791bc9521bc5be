"""The state of a mailbox, which continue-as-new carries over.

At the default settings it is at most 64 KiB of JSON.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from schemas.fields import Format
from schemas.policy import OtpPolicy, Policy
from schemas.results import ResendRefusal, ResultEvent
from schemas.signals import Submission


class _State(BaseModel):
    """Base of mutable state."""

    model_config = ConfigDict(extra="ignore")


class Spend(_State):
    """One unit of a budget: a mail or a failure.

    ``network`` is the client's /24 or /48, or ``unknown``.
    """

    at: datetime
    network: str
    signin_id: str


class Ledger(_State):
    """What was spent of one budget in the last day, oldest first.

    ``in_a_row`` counts since the last success.
    """

    spent: list[Spend] = []
    in_a_row: int = 0


class Ledgers(_State):
    """Two budgets of one kind: trusted devices have their own (SECURITY S5)."""

    strangers: Ledger = Ledger()
    trusted: Ledger = Ledger()


class PendingMail(_State):
    """A mail whose end is not published yet. The next try is at ``not_before``.

    ``accepted_at`` and ``refused_at`` are the mail server's final answer. ``resend_after`` is
    published once the mail is accepted. A run that was full gave the mail up while it was in
    flight if ``was_given_up``.
    """

    attempt: int
    requested_at: datetime
    ip: str | None = None
    browser: str | None = None
    tries: int = 0
    was_given_up: bool = False
    not_before: datetime
    resend_after: datetime
    accepted_at: datetime | None = None
    refused_at: datetime | None = None
    traceparent: str | None = None


class QueuedSubmission(_State):
    """A submission that waits for its turn. It is decided as of ``at``."""

    submission: Submission
    at: datetime


class Ending(_State):
    """The verdict that ends a sign-in, once its first mail is no longer in flight."""

    type: Literal["succeeded", "too_many_attempts"]
    submission: Submission
    at: datetime


class HeldRefusal(_State):
    """The refusal of a later attempt, held until the submissions before it are decided."""

    attempt: int
    reason: ResendRefusal
    free_at: datetime | None = None
    at: datetime
    traceparent: str | None = None


class SignIn(_State):
    """One live sign-in.

    ``attempts`` were seen; ``charged`` are the submissions that cost a try. ``sent_at`` is when
    the mail server accepted the last mail, ``judged_at`` the moment of the last code or attempt
    that was refused. From ``stale_at`` on, nobody waits for a first mail any more.
    """

    signin_id: str
    email: str
    account: str
    network: str
    trusted: bool
    locale: str | None = None
    traceparent: str | None = None
    stale_at: datetime
    otp: OtpPolicy
    nonce: str
    key_id: str
    expires_at: datetime
    attempts: list[int] = [1]
    mails: list[PendingMail] = []
    sent_at: datetime | None = None
    judged_at: datetime | None = None
    last_send_at: datetime
    tries: int = 0
    charged: list[str] = []
    refusals: list[HeldRefusal] = []
    ending: Ending | None = None


class Waiting(_State):
    """A submission whose sign-in is not known yet: it may have overtaken the request."""

    submission: Submission
    until: datetime


class MailboxState(_State):
    """Everything a mailbox remembers.

    Four lists keep the newest only: sign-ins that ended, sign-ins that the mailbox turned away,
    sign-ins that it was told to reject, and submissions. ``queue`` is in order of arrival.
    ``last_event_at`` is the moment of the last signal: no later signal is decided as of an earlier
    one. ``remembers_from`` is when that signal was applied, hours later perhaps, or, if the mailbox
    ``was_prolonged`` since, when it woke after it should have ended.
    """

    policy: Policy
    live: dict[str, SignIn] = {}
    over: list[str] = []
    turned_away: list[str] = []
    rejected: list[str] = []
    seen: list[str] = []
    sends: Ledgers = Ledgers()
    failures: dict[str, Ledgers] = {}
    waiting: list[Waiting] = []
    queue: list[QueuedSubmission] = []
    outbox: dict[str, list[ResultEvent]] = {}
    last_event_at: datetime
    remembers_from: datetime | None = None
    was_prolonged: bool = False


class MailboxInput(BaseModel):
    """Input of ``verify_otp_workflow``. ``carried`` is set by continue-as-new."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Format = 1
    policy: Policy
    carried: MailboxState | None = None


class MailboxStatus(BaseModel):
    """Answer to the query ``status``: counts and nothing else."""

    model_config = ConfigDict(frozen=True)

    live: int
    waiting: int
    unpublished: int
    mails_last_day: int
    failures_last_day: int
