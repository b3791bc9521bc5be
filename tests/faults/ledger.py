"""The data of an audit: the ledger of every event produced, and the evidence collected from the servers afterwards.

``Ledger`` is written while people sign in, ``Evidence`` is collected at the end. ``tests.faults.audit`` compares them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from schemas.results import TERMINAL_TYPES

Fate = Literal["applied", "late", "ignored", "dead_lettered"]

Partition = tuple[str, int]
"""Topic and partition number."""

Position = tuple[str, int, int]
"""Topic, partition number and offset."""


@dataclass(frozen=True)
class Request:
    """A ``signin.requested`` event and its expected fate."""

    signin_id: str
    attempt: int = 1
    fate: Fate = "applied"


@dataclass(frozen=True)
class Submission:
    """An ``otp.submitted`` event and its expected fate."""

    signin_id: str
    submission_id: str
    fate: Fate = "applied"


@dataclass(frozen=True)
class Poison:
    """A record that cannot be applied. Its key, value and headers must all reach the dead-letter topic."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    fate: Fate = "dead_lettered"


Event = Request | Submission | Poison


@dataclass
class Expectation:
    """The expected end of one sign-in: one of ``outcomes``, and at most ``mails`` mails, one per attempt.

    ``terminated`` means that an operator terminates its workflow, so it has no terminal result.
    """

    address: str
    outcomes: tuple[tuple[str, ...], ...]
    mails: int
    terminated: bool = False


class Ledger:
    """Every event with its position, in the order in which Kafka acknowledged them, and what is expected of it.

    ``may_expire`` is set when a fault outlasts the lifetime of a code: a sign-in may then end early, as expired.
    """

    def __init__(self) -> None:
        self.may_expire = False
        self.entries: list[tuple[Position, Event]] = []
        self.expectations: dict[str, Expectation] = {}

    def add(self, position: Position, event: Event) -> None:
        """Record an event that Kafka has acknowledged."""
        self.entries.append((position, event))

    def expect(self, signin_id: str, expectation: Expectation) -> None:
        """Record what is expected of a sign-in."""
        self.expectations[signin_id] = expectation


@dataclass(frozen=True)
class ResultRecord:
    """A record of the results topic."""

    event_id: str
    kind: str
    signin_id: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    submission_id: str | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether this result ends its sign-in."""
        return self.kind.split()[0] in TERMINAL_TYPES


@dataclass(frozen=True)
class DeadLetter:
    """A record of a dead-letter topic, with the position of the original record."""

    origin: Position
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Mail:
    """A mail that the mail server accepted."""

    address: str
    message_id: str
    code: str


@dataclass
class Evidence:
    """What the servers report.

    ``starts`` holds the start times (epoch, seconds) of all workflow runs, by sign-in and attempt.
    ``signals`` holds, for each mailbox, the submission ids signalled to it, in order.
    """

    starts: Mapping[tuple[str, int], Sequence[float]] = field(default_factory=dict)
    signals: Sequence[Sequence[str]] = ()
    dead: Sequence[DeadLetter] = ()
    results: Sequence[ResultRecord] = ()
    committed: Mapping[Partition, int] = field(default_factory=dict)
    ends: Mapping[Partition, int] = field(default_factory=dict)
    mails: Sequence[Mail] = ()
