"""The interfaces of the activities, one to three methods each. ``utils`` implements them."""

from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from schemas.policy import Policy
from schemas.results import ResultEvent
from schemas.signals import Challenge, Refusal, Rejection
from schemas.tasks import FirstAttempt


class MailDomains(Protocol):
    """DNS, as far as mail needs it."""

    async def accept_mail(self, domain: str) -> bool:
        """Tell whether ``domain`` (A-labels) can receive mail.

        False for NXDOMAIN, a null MX (RFC 7505), or neither an MX nor an address record. True
        also for SERVFAIL and when DNS does not answer within 2 s.
        """
        ...


class AnswerMetadata(BaseModel):
    """Turnstile's metadata. ``result_with_testing_key`` marks the answer to a test secret."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    result_with_testing_key: bool = False


class SiteverifyAnswer(BaseModel):
    """Turnstile's answer.

    https://developers.cloudflare.com/turnstile/get-started/server-side-validation/
    """

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
        """Verify one token. Raises ``ChallengeUnavailable`` if there is no usable answer."""
        ...


class CodeMail(BaseModel):
    """One mail with a code. ``requested_at`` feeds the latency metric."""

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
        """Return once the server has accepted the mail.

        Raises ``MailRefused`` for a 5xx answer, and ``MailUnavailable`` for any other failure.
        """
        ...


class Publisher(Protocol):
    """The results topic."""

    async def publish(self, event: ResultEvent) -> None:
        """Return once all in-sync replicas have the record. Raises ``PublishUnavailable``."""
        ...


class Mailboxes(Protocol):
    """The mailbox workflows."""

    async def hand_over(self, mailbox: str, message: Challenge | Refusal | Rejection, policy: Policy) -> None:
        """Signal-with-start ``mailbox/<mailbox>``.

        Raises ``TemporalUnavailable`` or ``HandOverRefused``.
        """
        ...


class FirstAttempts(Protocol):
    """The sign-in workflows of first attempts."""

    async def read(self, signin_id: str) -> FirstAttempt:
        """Return the state of ``signin/<signin_id>/1``, without waiting for it to end.

        Raises ``TemporalUnavailable``.
        """
        ...
