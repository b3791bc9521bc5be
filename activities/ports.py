"""What the activities need of the outside, one to three methods each. Implementations live in ``utils``."""

from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from schemas.policy import Policy
from schemas.results import ResultEvent
from schemas.signals import Challenge, Refusal
from schemas.tasks import FirstAttempt


class MailDomains(Protocol):
    """DNS, as far as mail needs it."""

    async def accept_mail(self, domain: str) -> bool:
        """Tell whether ``domain`` (A-labels) can take mail.

        False for NXDOMAIN, a null MX (RFC 7505), or neither MX nor address. True too when DNS gives no answer within
        2 s, or SERVFAIL.
        """
        ...


class AnswerMetadata(BaseModel):
    """What Turnstile adds: ``result_with_testing_key`` marks the answer to one of Cloudflare's test secrets."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    result_with_testing_key: bool = False


class SiteverifyAnswer(BaseModel):
    """Turnstile's answer (https://developers.cloudflare.com/turnstile/get-started/server-side-validation/)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    success: bool
    challenge_ts: datetime | None = None
    hostname: str | None = None
    action: str | None = None
    cdata: str | None = None
    error_codes: tuple[str, ...] = Field((), alias="error-codes")
    metadata: AnswerMetadata = AnswerMetadata()


class ChallengeVerifier(Protocol):
    """Cloudflare's siteverify."""

    async def siteverify(self, *, token: str, ip: str | None, idempotency_key: str) -> SiteverifyAnswer:
        """Ask about one token. Raises ``ChallengeUnavailable`` when there is no usable answer."""
        ...


class CodeMail(BaseModel):
    """One mail with a code. ``code`` is shown as digits, ``requested_at`` feeds the latency metric."""

    model_config = ConfigDict(frozen=True)

    recipient: str
    code: SecretStr
    message_id: str
    expires_at: datetime
    requested_at: datetime
    locale: str | None = None
    ip: str | None = None
    browser: str | None = None


class Mailer(Protocol):
    """The mail server."""

    async def send(self, mail: CodeMail) -> None:
        """Return once the server accepted the mail. Raises ``MailRefused`` (5xx) or ``MailUnavailable`` (any other)."""
        ...


class Publisher(Protocol):
    """The results topic."""

    async def publish(self, event: ResultEvent) -> None:
        """Return once all in-sync replicas have the record. Raises ``PublishUnavailable``."""
        ...


class Mailboxes(Protocol):
    """The mailboxes' workflows."""

    async def hand_over(self, mailbox: str, message: Challenge | Refusal, policy: Policy) -> None:
        """Signal-with-start ``mailbox/<mailbox>``. Raises ``TemporalUnavailable`` or ``HandOverRefused``."""
        ...

    async def has_taken(self, mailbox: str, signin_id: str) -> bool:
        """Tell whether attempt 1 of a sign-in was ever handed over to it. Raises ``TemporalUnavailable``."""
        ...


class FirstAttempts(Protocol):
    """The sign-ins' workflows."""

    async def read(self, signin_id: str) -> FirstAttempt:
        """Tell how ``signin/<signin_id>/1`` stands, without waiting for it. Raises ``TemporalUnavailable``."""
        ...
