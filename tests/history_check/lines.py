"""The lines of a history."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final

FORMAT: Final = 1

Place = tuple[str, int]
"""Topic and partition."""

Position = tuple[str, int, int]
"""Topic, partition and offset."""


class HistoryError(Exception):
    """Raised for a file that is no history, or not a whole one."""


@dataclass(frozen=True)
class Begun:
    """The first line. ``inbound``: the topics that the worker reads."""

    format: int
    inbound: list[str]


@dataclass(frozen=True)
class Stored:
    """A record of an inbound topic, as it was read back. ``key``, ``value`` and ``headers`` are digests."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: str | None
    value: str | None
    headers: str

    @property
    def position(self) -> Position:
        """Where the record is."""
        return self.topic, self.partition, self.offset

    @property
    def content(self) -> tuple[str | None, str | None, str]:
        """The digests of all that the emitter wrote."""
        return self.key, self.value, self.headers


@dataclass(frozen=True)
class Emitted(Stored):
    """A record that Kafka acknowledged, and what it means: ``request``, ``submission`` or ``garbage``."""

    means: str
    signin_id: str | None = None
    attempt: int | None = None
    submission_id: str | None = None
    account: str | None = None
    code: str | None = None
    token_passes: bool | None = None
    domain_exists: bool | None = None
    ce_id: str | None = None

    @property
    def is_acceptable(self) -> bool:
        """Whether a request deserves a mail."""
        return bool(self.token_passes and self.domain_exists)


@dataclass(frozen=True)
class Result:
    """A record of the results topic. ``headers`` are plain; ``value`` is a digest, its members stand beside it."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: str | None
    value: str
    headers: list[list[str]]
    signin_id: str
    occurred_at: float
    attempt: int | None = None
    submission_id: str | None = None
    reason: str | None = None
    attempts_left: int | None = None
    expires_at: float | None = None

    def header(self, name: str) -> str:
        """Return a header's value, or an empty text."""
        return {one: value for one, value in self.headers}.get(name, "")

    @property
    def type(self) -> str:
        """The result's ``ce_type``."""
        return self.header("ce_type")


@dataclass(frozen=True)
class DeadLetter:
    """A record of a dead-letter topic. ``headers``: the digest of those that the original had."""

    topic: str
    partition: int
    offset: int
    origin: list[Any]
    error: str
    key: str | None
    value: str | None
    headers: str


@dataclass(frozen=True)
class Mail:
    """A mail that the mail server accepted."""

    at: float
    message_id: str
    account: str
    code: str


@dataclass(frozen=True)
class Workflow:
    """A run of a workflow."""

    id: str
    run_id: str
    started: float
    status: str


@dataclass(frozen=True)
class Signal:
    """A submission that was signalled to a mailbox's workflow; in the order of its history."""

    workflow: str
    submission_id: str


@dataclass(frozen=True)
class Log:
    """A partition at the end. ``committed`` is null for topics that the worker does not read."""

    topic: str
    partition: int
    end: int
    committed: int | None = None


@dataclass(frozen=True)
class Fault:
    """A fault that was injected."""

    at: float
    name: str


@dataclass(frozen=True)
class Closed:
    """The last line. ``lines`` counts those before it."""

    lines: int


Line = Begun | Emitted | Stored | Result | DeadLetter | Mail | Workflow | Signal | Log | Fault | Closed
_KINDS: Final[Mapping[str, type[Line]]] = {
    "begun": Begun,
    "emitted": Emitted,
    "stored": Stored,
    "result": Result,
    "dead_letter": DeadLetter,
    "mail": Mail,
    "workflow": Workflow,
    "signal": Signal,
    "log": Log,
    "fault": Fault,
    "closed": Closed,
}


def parse(texts: Iterable[str]) -> Iterator[tuple[str, Line]]:
    """Yield each line with its kind. Raises ``HistoryError`` unless the history is whole."""
    kind = ""
    number = 0
    for number, text in enumerate(texts, 1):
        kind, line = _parse_line(number, text)

        if number == 1 and not (isinstance(line, Begun) and line.format == FORMAT):
            raise HistoryError(f"line 1: it is not the beginning of a history of format {FORMAT}")
        if isinstance(line, Closed) and line.lines != number - 1:
            raise HistoryError(f"line {number}: {line.lines} lines were written before it, not {number - 1}")

        yield kind, line

    if kind != "closed":
        raise HistoryError(f"line {number}: the history ends without being closed")


def _parse_line(number: int, text: str) -> tuple[str, Line]:
    try:
        members = json.loads(text)
        kind = members["kind"]
        line = _KINDS[kind]
        names = [field.name for field in fields(line)]
        required = [field.name for field in fields(line) if field.default is MISSING]
    except (ValueError, KeyError, TypeError):
        raise HistoryError(f"line {number}: it is no line of a history") from None

    if missing := [name for name in required if name not in members]:
        raise HistoryError(f"line {number}: {kind} lacks {', '.join(missing)}")

    return kind, line(**{name: members[name] for name in names if name in members})
