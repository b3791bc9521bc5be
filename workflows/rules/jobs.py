"""The work that a mailbox wants done outside.

Each job is one activity; its end is reported to the mailbox.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypedDict, TypeVar

from schemas.mailbox import PendingMail, SignIn
from schemas.results import CodeSent, OtpRejected, Result, ResultEvent, SignInFailed, SignInSucceeded
from schemas.signals import Submission
from schemas.tasks import CodeToVerify, MailToSend

Task = TypeVar("Task", MailToSend, CodeToVerify)


@dataclass(frozen=True)
class _SignInJob(Generic[Task]):
    """A job for one sign-in. It is pointless after ``until``."""

    task: Task
    until: datetime

    @property
    def signin_id(self) -> str:
        """The sign-in."""
        return self.task.signin_id

    @property
    def signin_ids(self) -> tuple[str, ...]:
        """The sign-ins that the job concerns: one."""
        return (self.signin_id,)


@dataclass(frozen=True)
class SendMail(_SignInJob[MailToSend]):
    """Try once to send the mail of an attempt.

    One that a full run gave up has lost its place among the mails that wait for their turn.
    """

    trusted: bool
    was_given_up: bool

    @property
    def attempt(self) -> int:
        """The attempt that the mail is for."""
        return self.task.attempt


@dataclass(frozen=True)
class CompareCode(_SignInJob[CodeToVerify]):
    """Compare a submission. Its try is already charged."""


@dataclass(frozen=True)
class PublishResults:
    """Publish the oldest unacknowledged results of several sign-ins.

    ``may_be_local``: a task that is done again makes the same bytes, and nothing that it decides
    must be in history before, so a local activity may publish them.
    """

    events: tuple[ResultEvent, ...]
    may_be_local: bool

    @property
    def signin_ids(self) -> tuple[str, ...]:
        """The sign-ins, each once."""
        return tuple(dict.fromkeys(event.result.signin_id for event in self.events))

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues that the results come from, each once."""
        return tuple(dict.fromkeys(queue_of(event) for event in self.events))


Job = SendMail | CompareCode | PublishResults


def queue_of(event: ResultEvent) -> str:
    """Return the queue in which a result goes out, in order: its sign-in's.

    An ``unknown_signin`` stands outside any order, so each has a queue of its own. Anybody can have
    any number of them made, also about a sign-in of another account.
    """
    result = event.result
    is_unknown = isinstance(result, OtpRejected) and result.reason == "unknown_signin"
    return event.event_id if is_unknown else result.signin_id


def is_reproducible(result: Result) -> bool:
    """Tell whether a result follows from signals, mails and compares alone, whatever the time of the task is.

    History held these before the task that made the result, so a task that is done again makes the
    same bytes (docs/adr/0039).
    """
    match result:
        case CodeSent() | SignInSucceeded():
            return True
        case OtpRejected():
            return result.reason == "wrong_code"
        case SignInFailed():
            return result.reason == "too_many_attempts"
        case _:
            return False


def send_mail(sign_in: SignIn, mail: PendingMail) -> SendMail:
    """Return the job that tries a mail."""
    task = MailToSend(
        **_code_of(sign_in),
        expires_at=sign_in.expires_at,
        email=sign_in.email,
        locale=sign_in.locale,
        attempt=mail.attempt,
        requested_at=mail.requested_at,
        ip=mail.ip,
        browser=mail.browser,
        traceparent=mail.traceparent,
    )

    return SendMail(task, sign_in.expires_at, sign_in.trusted, mail.was_given_up)


def compare_code(sign_in: SignIn, submission: Submission) -> CompareCode:
    """Return the job that compares a submission."""
    task = CodeToVerify(
        **_code_of(sign_in),
        seal=submission.seal,
        seal_key_id=submission.key_id,
        traceparent=sign_in.traceparent,
        submission_traceparent=submission.traceparent,
    )

    return CompareCode(task, sign_in.expires_at)


class _Code(TypedDict):
    """What a code is derived from."""

    signin_id: str
    account: str
    nonce: str
    key_id: str
    digits: int


def _code_of(sign_in: SignIn) -> _Code:
    return {
        "signin_id": sign_in.signin_id,
        "account": sign_in.account,
        "nonce": sign_in.nonce,
        "key_id": sign_in.key_id,
        "digits": sign_in.otp.digits,
    }
