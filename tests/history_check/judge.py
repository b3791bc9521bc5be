"""Reads a history once and hands each line to those that it concerns."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tests.history_check.dead_letters import DeadLetters
from tests.history_check.lines import (
    Begun,
    Closed,
    DeadLetter,
    Emitted,
    Fault,
    Line,
    Log,
    Mail,
    Result,
    Signal,
    Stored,
    Workflow,
    parse,
)
from tests.history_check.mailboxes import Mailboxes
from tests.history_check.partitions import Partitions
from tests.history_check.processing import Processing
from tests.history_check.sign_in import SignIn
from tests.history_check.violations import Violation, Violations


@dataclass
class Judgement:
    """How many lines of each kind there were, how much was repeated, and what is wrong."""

    lines: Counter[str] = field(default_factory=Counter)
    repeats: Counter[str] = field(default_factory=Counter)
    sign_ins: int = 0
    violations: list[Violation] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "sign_ins": self.sign_ins,
            "lines": dict(self.lines),
            "repeats": dict(self.repeats),
            "violations": [asdict(violation) for violation in self.violations],
        }


def judge(texts: Iterable[str]) -> Judgement:
    """Judge a history, given line by line. Raises ``HistoryError`` if it is none, or not whole."""
    judging = _Judging()
    found = Judgement()
    for kind, line in parse(texts):
        found.lines[kind] += 1
        found.violations += judging.take(line)

    found.violations += judging.finish()
    found.repeats = judging.repeats()
    found.sign_ins = len(judging.sign_ins)

    return found


class _Judging:
    def __init__(self) -> None:
        self.sign_ins: dict[str, SignIn] = {}
        self._inbound: list[str] = []
        self._partitions = Partitions()
        self._dead_letters = DeadLetters()
        self._processing = Processing()
        self._mailboxes = Mailboxes()
        self._results: dict[str, Result] = {}
        self._repeated_results = 0

    def take(self, line: Line) -> Violations:
        """Take the next line."""
        match line:
            case Begun():
                self._inbound = line.inbound
            case Emitted():
                yield from self._partitions.emitted(line)
            case Stored():
                yield from self._stored(line)
            case Result():
                yield from self._result(line)
            case DeadLetter():
                yield from self._partitions.advance(line.topic, line.partition, line.offset)
                yield from self._dead_letters.written(line)
            case Mail():
                yield from self._mailboxes[line.account].receive(line)
            case Workflow():
                yield from self._processing.started(line)
            case Signal():
                yield from self._processing.signalled(line)
            case Log():
                yield from self._partitions.described(line, is_inbound=line.topic in self._inbound)
            case Fault() | Closed():
                pass

    def finish(self) -> Violations:
        """Look for what never came."""
        yield from self._partitions.finish()
        yield from self._dead_letters.finish()
        yield from self._processing.finish()

        for sign_in in self.sign_ins.values():
            yield from sign_in.finish()

        for mailbox in self._mailboxes.values():
            owners = [self.sign_ins[one] for one in mailbox.owners if one]
            sent = sum(owner.sent for owner in owners)
            ended_at = max((owner.ended_at for owner in owners), default=0.0)
            yield from mailbox.finish(sent, ended_at)

    def repeats(self) -> Counter[str]:
        """Return how much was repeated, which is allowed."""
        return Counter(
            results=self._repeated_results,
            mails=sum(mailbox.repeats for mailbox in self._mailboxes.values()),
            dead_letters=self._dead_letters.repeats,
            signals=self._processing.repeated_signals,
        )

    def _stored(self, stored: Stored) -> Violations:
        yield from self._partitions.advance(*stored.position)
        emitted = self._partitions.take(stored)
        where = f"{stored.topic}/{stored.partition}@{stored.offset}"

        if emitted is None:
            yield Violation("offsets", where, "nobody emitted this record")
            return
        if emitted.content != stored.content:
            yield Violation("offsets", where, "the record is not what was emitted")

        self._apply(replace(emitted, timestamp=stored.timestamp))

    def _apply(self, record: Emitted) -> None:
        """Tell a sign-in of its next event, in the order of the log."""
        if record.means == "garbage" or record.signin_id is None:
            self._dead_letters.expect(record)
            return

        self._processing.expect(record)
        sign_in = self._sign_in(record.signin_id)
        if record.means == "request":
            sign_in.requested(record, self._mailboxes[record.account or ""])
        else:
            sign_in.submitted(record)

    def _result(self, result: Result) -> Violations:
        yield from self._partitions.advance(result.topic, result.partition, result.offset)
        yield from _form(result)

        first = self._results.setdefault(result.header("ce_id"), result)
        if first is result:
            yield from self._sign_in(result.signin_id).move(result)
            return

        self._repeated_results += 1
        if (first.value, first.headers, first.key) != (result.value, result.headers, result.key):
            yield Violation("doubled", result.signin_id, f"{result.type}: the same ce_id, but other bytes")

    def _sign_in(self, signin_id: str) -> SignIn:
        return self.sign_ins.setdefault(signin_id, SignIn(signin_id))


def _form(result: Result) -> Violations:
    """Check the envelope of a result."""
    where = f"{result.topic}/{result.partition}@{result.offset}"
    if not (result.key == result.header("ce_subject") == result.signin_id):
        yield Violation("form", where, "key, ce_subject and signin_id differ")

    if not all(map(result.header, ("ce_id", "ce_source", "ce_time"))) or result.header("ce_specversion") != "1.0":
        yield Violation("form", where, "a CloudEvents header is missing")
