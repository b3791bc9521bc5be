"""What a mailbox wants done outside: each job becomes one activity, and its end is told to the mailbox."""

from dataclasses import dataclass
from datetime import datetime

from schemas.mailbox import PendingMail, SignIn
from schemas.results import CodeSent, ResultEvent
from schemas.signals import Submission
from schemas.tasks import CodeToIssue, CodeToVerify, MailToSend


@dataclass(frozen=True)
class IssueCode:
    """Derive the code, so that its key is known. Pointless after ``until``."""

    signin_id: str
    task: CodeToIssue
    until: datetime


@dataclass(frozen=True)
class SendMail:
    """Try once to send the mail of an attempt. Pointless after ``until``."""

    signin_id: str
    attempt: int
    task: MailToSend
    until: datetime
    trusted: bool


@dataclass(frozen=True)
class CompareCode:
    """Compare a submission, whose try is charged already. Pointless after ``until``."""

    signin_id: str
    task: CodeToVerify
    until: datetime


@dataclass(frozen=True)
class PublishResults:
    """Publish, of each of some sign-ins, the oldest result that Kafka has not acknowledged."""

    events: tuple[ResultEvent, ...]

    @property
    def signin_ids(self) -> tuple[str, ...]:
        """The sign-ins, one for each event."""
        return tuple(event.result.signin_id for event in self.events)

    @property
    def is_settled(self) -> bool:
        """Tell whether history holds all that they say, so that they would be the same bytes if they were made anew."""
        return all(isinstance(event.result, CodeSent) for event in self.events)


Job = IssueCode | SendMail | CompareCode | PublishResults


def issue_code(sign_in: SignIn) -> IssueCode:
    """Return the job that issues a sign-in's code."""
    task = CodeToIssue(
        signin_id=sign_in.signin_id,
        account=sign_in.account,
        nonce=sign_in.nonce,
        digits=sign_in.otp.digits,
        traceparent=sign_in.traceparent,
    )
    return IssueCode(sign_in.signin_id, task, sign_in.expires_at)


def send_mail(sign_in: SignIn, key_id: str, mail: PendingMail) -> SendMail:
    """Return the job that tries a mail."""
    task = MailToSend(
        signin_id=sign_in.signin_id,
        attempt=mail.attempt,
        email=sign_in.email,
        account=sign_in.account,
        nonce=sign_in.nonce,
        key_id=key_id,
        digits=sign_in.otp.digits,
        expires_at=sign_in.expires_at,
        requested_at=mail.requested_at,
        locale=sign_in.locale,
        ip=mail.ip,
        browser=mail.browser,
        traceparent=mail.traceparent,
    )
    return SendMail(sign_in.signin_id, mail.attempt, task, sign_in.expires_at, sign_in.trusted)


def compare_code(sign_in: SignIn, key_id: str, submission: Submission) -> CompareCode:
    """Return the job that compares a submission."""
    task = CodeToVerify(
        signin_id=sign_in.signin_id,
        account=sign_in.account,
        nonce=sign_in.nonce,
        key_id=key_id,
        digits=sign_in.otp.digits,
        seal=submission.seal,
        seal_key_id=submission.key_id,
        traceparent=sign_in.traceparent,
        submission_traceparent=submission.traceparent,
    )
    return CompareCode(sign_in.signin_id, task, sign_in.expires_at)
