"""What the world saw: mails, results, compares, and what people asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from activities.ports import CodeMail
from schemas.limits import Clearing
from schemas.results import Result
from schemas.tasks import MailToSend
from workflows.inbox import Signal


class Mailed(NamedTuple):
    """A mail that the mail server accepted. Times are seconds since the beginning."""

    began_at: float
    at: float
    task: MailToSend
    mail: CodeMail


class Published(NamedTuple):
    """A result that Kafka took."""

    at: float
    ce_id: str
    result: Result
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class Compared(NamedTuple):
    """A compare that an activity made."""

    at: float
    signin_id: str
    account: str
    seal: str
    is_correct: bool


class Signalled(NamedTuple):
    """A signal, as its workflow's history has it. ``moment``: as of when it is decided; ``number``: which it is."""

    at: float
    signin_id: str
    name: str
    content: Signal
    moment: datetime
    number: int


class MailAnswer(NamedTuple):
    """What history has known since ``at`` of a mail that was accepted."""

    at: float
    signin_id: str
    attempt: int
    accepted_at: datetime


class Asked(NamedTuple):
    """An attempt as its emitter sent it. ``is_good``: whether siteverify takes its token."""

    at: float
    ip: str | None
    is_good: bool


@dataclass
class SignIn:
    """One sign-in, as its person and its emitter know it. ``account`` and ``mailbox`` are pseudonyms."""

    signin_id: str
    email: str
    account: str | None
    mailbox: str | None
    network: str
    is_trusted: bool
    attempts: int = 1
    handled_at: float | None = None
    asked: dict[int, Asked] = field(default_factory=dict)


@dataclass
class Typed:
    """One submission. ``signin_id`` may be of no sign-in."""

    submission_id: str
    signin_id: str
    account: str
    code: str


class Cleared(NamedTuple):
    """What an operator gave back. ``mailbox``: the id of the workflow that was told.

    History held the audit record ``at`` that time. The mailbox heard of it in a task that began ``until`` then.
    """

    at: float
    mailbox: str
    clearing: Clearing
    until: float


class Cut(NamedTuple):
    """The end of a mailbox's run that had to end, whatever was in flight.

    Its last task was told what had come after ``since``, and may not have taken it in.
    """

    mailbox: str
    since: float
    at: float


@dataclass
class Ledger:
    """Everything that happened outside of the workflows, in order.

    ``clearings``: when history held that an operator's update was recorded; nothing may be cleared before.
    ``reads``: when consumers read each submission. ``calm_since``: when a worker was started last, or all
    else that goes wrong was ended.
    """

    sign_ins: dict[str, SignIn] = field(default_factory=dict)
    typed: dict[str, Typed] = field(default_factory=dict)
    mails: list[Mailed] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    compared: list[Compared] = field(default_factory=list)
    answers: list[MailAnswer] = field(default_factory=list)
    clearings: list[Cleared] = field(default_factory=list)
    cut_short: list[Cut] = field(default_factory=list)
    signals: list[Signalled] = field(default_factory=list)
    reads: dict[str, list[float]] = field(default_factory=dict)
    calm_since: float | None = None

    def results_of(self, signin_id: str) -> Sequence[Published]:
        """Return the results of a sign-in, with repeats."""
        return [one for one in self.published if one.result.signin_id == signin_id]

    def mails_of(self, signin_id: str) -> Sequence[Mailed]:
        """Return the mails of a sign-in."""
        return [one for one in self.mails if one.task.signin_id == signin_id]


def first_times(results: Sequence[Published]) -> list[Published]:
    """Return results without repeats, in the order in which each was published first."""
    known: dict[str, Published] = {}
    for one in results:
        known.setdefault(one.ce_id, one)
    return list(known.values())
