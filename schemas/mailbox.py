"""The state of a mailbox, as it is carried over continue-as-new. At most 64 KiB as JSON."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from schemas.policy import Policy
from schemas.results import ResultEvent
from schemas.signals import Challenge, Submission


class _State(BaseModel):
    """Base of mutable state."""

    model_config = ConfigDict(extra="ignore")


class Spend(_State):
    """One unit of a budget: a mail sent or a failure charged."""

    at: datetime
    network: str
    trusted: bool = False


class AccountFailures(_State):
    """Failures of one account: the last day's, and how many in a row."""

    spent: list[Spend] = []
    in_a_row: int = 0
    last_at: datetime | None = None


class PendingMail(_State):
    """A mail that is to be sent, or tried again at ``not_before``."""

    attempt: int
    requested_at: datetime
    ip: str | None = None
    browser: str | None = None
    tries: int = 0
    not_before: datetime | None = None


class SignIn(_State):
    """One live sign-in."""

    challenge: Challenge
    nonce: str
    expires_at: datetime
    key_id: str | None = None
    attempts_seen: list[int] = [1]
    tries: int = 0
    charged: list[str] = []
    mails: list[PendingMail] = []
    mail_accepted: bool = False
    last_send_at: datetime
    queue: list[Submission] = []


class Waiting(_State):
    """A submission whose sign-in is not known yet."""

    submission: Submission
    until: datetime


class MailboxState(_State):
    """Everything a mailbox remembers."""

    policy: Policy = Policy()
    live: dict[str, SignIn] = {}
    finished: list[str] = []
    sends: list[Spend] = []
    failures: dict[str, AccountFailures] = {}
    seen: list[str] = []
    waiting: list[Waiting] = []
    outbox: dict[str, list[ResultEvent]] = {}
    last_event_at: datetime | None = None


class MailboxInput(BaseModel):
    """Input of ``verify_otp_workflow``. ``carried`` is there after continue-as-new."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    policy: Policy
    carried: MailboxState | None = None
