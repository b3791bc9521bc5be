"""The ledger: every event that was produced, and at the end an account of each, by what the servers say.

Pure: ``Ledger`` is written while people live, ``Evidence`` is collected afterwards, ``account`` compares the two.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from schemas.results import TERMINAL_TYPES

Fate = Literal["applied", "late", "ignored", "dead_lettered"]
Place = tuple[str, int, int]
"""Topic, partition, offset."""

MOST_COMPARES: Final = 5
_COMPARED: Final = ("otp.rejected wrong_code", "signin.succeeded")


@dataclass(frozen=True)
class Request:
    """A ``signin.requested``, and what must become of it."""

    signin_id: str
    attempt: int = 1
    fate: Fate = "applied"


@dataclass(frozen=True)
class Submission:
    """An ``otp.submitted``, and what must become of it."""

    signin_id: str
    submission_id: str
    fate: Fate = "applied"


@dataclass(frozen=True)
class Poison:
    """A record that no one can apply, with all that has to arrive in the dead-letter topic."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    fate: Fate = "dead_lettered"


Event = Request | Submission | Poison


@dataclass
class Expectation:
    """What has to come of one sign-in: one of ``outcomes``, and at most so many mails, one an attempt.

    ``terminated``: an operator ended its workflow, so it has no terminal result.
    """

    address: str
    outcomes: tuple[tuple[str, ...], ...]
    mails: int
    terminated: bool = False


class Ledger:
    """Every event with its place, in the order in which Kafka acknowledged them, and what has to come of it.

    ``may_expire``: a fault lasts so long that codes run out; then a sign-in may end as expired before its time.
    """

    def __init__(self) -> None:
        self.may_expire = False
        self.entries: list[tuple[Place, Event]] = []
        self.expectations: dict[str, Expectation] = {}

    def add(self, place: Place, event: Event) -> None:
        """Note an event that Kafka has."""
        self.entries.append((place, event))

    def expect(self, signin_id: str, expectation: Expectation) -> None:
        """Note what has to come of a sign-in."""
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
        """Whether it ends its sign-in."""
        return self.kind.split()[0] in TERMINAL_TYPES


@dataclass(frozen=True)
class DeadLetter:
    """A record of a dead-letter topic: where it came from, and its own bytes."""

    origin: Place
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Mail:
    """A mail that the mail server took."""

    address: str
    message_id: str
    code: str


@dataclass
class Evidence:
    """What the servers say. ``starts``: start times (epoch, s) of all runs under one sign-in's attempt."""

    starts: Mapping[tuple[str, int], Sequence[float]] = field(default_factory=dict)
    signals: Sequence[Sequence[str]] = ()  # submission ids that each mailbox was signalled, in order
    dead: Sequence[DeadLetter] = ()
    results: Sequence[ResultRecord] = ()
    committed: Mapping[tuple[str, int], int] = field(default_factory=dict)
    ends: Mapping[tuple[str, int], int] = field(default_factory=dict)
    mails: Sequence[Mail] = ()


@dataclass
class Account:
    """How many records came to which end, what was said or done more than once, and every broken promise."""

    outcomes: Counter[str] = field(default_factory=Counter)
    repeated_results: int = 0
    second_mails: int = 0
    repeated_dead_letters: int = 0
    redelivered_signals: int = 0
    broken: list[str] = field(default_factory=list)


def account(ledger: Ledger, evidence: Evidence) -> Account:
    """Account for every event of the ledger."""
    found = Account()
    for check in (_records, _dead_letters, _order, _watermarks, _results, _sign_ins, _mails):
        found.broken += check(ledger, evidence, found)
    return found


def _records(ledger: Ledger, evidence: Evidence, found: Account) -> Iterator[str]:
    """No loss, not twice: each record is applied, a duplicate, late, ignored, or a dead letter."""
    dead = {letter.origin for letter in evidence.dead}
    signalled = _signalled(evidence)
    found.redelivered_signals = sum(count - 1 for count in signalled.values())
    seen = set[Event]()

    for place, event in ledger.entries:
        match event:
            case Request():
                runs = len(evidence.starts.get((event.signin_id, event.attempt), ()))
            case Submission():
                runs = min(1, signalled[event.submission_id])
            case Poison():
                runs = 0

        outcome: str = event.fate
        if runs > 1:
            yield f"{place}: its workflow was started {runs} times"

        if place in dead:
            outcome = "dead_lettered"
        elif event.fate == "dead_lettered" or (event.fate == "applied" and not runs):
            outcome = "lost"
        elif runs and event.fate != "applied":
            outcome = "applied"

        if outcome != event.fate:
            yield f"{place}: {event.fate} was expected, but it was {outcome}: {_named(event)}"

        if outcome == "applied" and event in seen:
            outcome = "duplicate"

        seen.add(event)
        found.outcomes[outcome] += 1


def _dead_letters(ledger: Ledger, evidence: Evidence, found: Account) -> Iterator[str]:
    """Dead letters are byte for byte what was produced."""
    poison = {place: event for place, event in ledger.entries if isinstance(event, Poison)}
    copies = Counter(letter.origin for letter in evidence.dead)
    found.repeated_dead_letters = sum(count - 1 for count in copies.values())

    for letter in evidence.dead:
        original = poison.get(letter.origin)
        if original is None:
            yield f"{letter.origin}: a dead letter of a record that is none of ours, or was good"
            continue

        own = tuple(header for header in letter.headers if not header[0].startswith("dlt-"))
        if (letter.key, letter.value, own) != (original.key, original.value, original.headers):
            yield f"{letter.origin}: the dead letter is not byte for byte the record"


def _order(ledger: Ledger, evidence: Evidence, found: Account) -> Iterator[str]:
    """Look at first occurrences: requests of a sign-in and submissions of a mailbox are applied by offset."""
    places: dict[str, Place] = {}
    for place, event in ledger.entries:
        if isinstance(event, Submission) and event.fate == "applied":
            places.setdefault(event.submission_id, place)

    for signals in evidence.signals:
        for topic_partition, offsets in _by_partition(places[one] for one in dict.fromkeys(signals) if one in places):
            if offsets != sorted(offsets):
                yield f"{topic_partition}: submissions of one mailbox were applied out of order: {offsets}"

    for (signin_id, attempt), starts in evidence.starts.items():
        before = evidence.starts.get((signin_id, attempt - 1))
        if before and min(starts) < min(before):
            yield f"{signin_id}: attempt {attempt} was started before attempt {attempt - 1}"


def _by_partition(places: Iterator[Place]) -> Iterator[tuple[tuple[str, int], list[int]]]:
    offsets = defaultdict[tuple[str, int], list[int]](list)
    for topic, partition, offset in places:
        offsets[topic, partition].append(offset)
    yield from offsets.items()


def _watermarks(ledger: Ledger, evidence: Evidence, found: Account) -> Iterator[str]:
    """Everything is done, and Kafka knows it."""
    for partition, end in evidence.ends.items():
        committed = evidence.committed.get(partition, 0)
        if committed != end:
            yield f"{partition}: committed {committed}, but the end is {end}"


def _results(ledger: Ledger, evidence: Evidence, found: Account) -> Iterator[str]:
    """Compare repeats byte for byte, and count verdicts of a submission and compares of a sign-in."""
    first: dict[str, ResultRecord] = {}
    for result in evidence.results:
        original = first.setdefault(result.event_id, result)
        if (original.value, original.headers) != (result.value, result.headers):
            yield f"{result.signin_id}: {result.kind} was repeated with the same ce_id and other bytes"

    found.repeated_results = len(evidence.results) - len(first)
    verdicts = Counter(one.submission_id for one in first.values() if one.submission_id)
    for submission_id, count in verdicts.items():
        if count > 1:
            yield f"submission {submission_id} has {count} verdicts"

    compares = Counter(one.signin_id for one in first.values() if one.kind.startswith(_COMPARED))
    for signin_id, count in compares.items():
        if count > MOST_COMPARES:
            yield f"{signin_id}: {count} compares"


def _sign_ins(ledger: Ledger, evidence: Evidence, found: Account) -> Iterator[str]:
    """Compare what was said of each sign-in with what should be: in order, with one result that ends it, the last."""
    said: dict[str, dict[str, ResultRecord]] = defaultdict(dict)
    for result in evidence.results:
        said[result.signin_id].setdefault(result.event_id, result)

    opened = set(_opened(ledger))

    for signin_id in opened | said.keys():
        results = [one for one in said[signin_id].values() if "unknown_signin" not in one.kind]
        ends = [number for number, one in enumerate(results) if one.is_terminal]
        kinds = tuple(one.kind for one in said[signin_id].values())
        expected = ledger.expectations.get(signin_id)
        if expected is None:
            yield f"{signin_id}: a result of a sign-in that is none of ours"
            continue

        wanted = [] if expected.terminated else [len(results) - 1]
        if signin_id in opened and ends != wanted:
            yield f"{signin_id}: not exactly one terminal result, at the end: {list(kinds)}"

        if kinds not in expected.outcomes and not (ledger.may_expire and _ran_out(kinds, expected)):
            yield f"{signin_id}: expected {_listed(expected.outcomes)}; got {_listed([kinds])}"


def _ran_out(kinds: tuple[str, ...], expected: Expectation) -> bool:
    before = kinds[:-1]
    return kinds[-1:] == ("signin.expired",) and any(before == outcome[: len(before)] for outcome in expected.outcomes)


def _mails(ledger: Ledger, evidence: Evidence, found: Account) -> Iterator[str]:
    """No mail that nobody asked for; a second copy is the same mail again, with the same code."""
    copies = Counter(mail.message_id for mail in evidence.mails)
    found.second_mails = sum(count - 1 for count in copies.values())
    asked = Counter[str]()
    for expectation in ledger.expectations.values():
        asked[expectation.address] += expectation.mails

    for address in {mail.address for mail in evidence.mails}:
        mails = [mail for mail in evidence.mails if mail.address == address]
        different = {mail.message_id for mail in mails}
        if len(different) > asked[address]:
            yield f"{address}: {len(different)} mails, but {asked[address]} were asked for"

        for message_id in different:
            if len({mail.code for mail in mails if mail.message_id == message_id}) > 1:
                yield f"{address}: two copies of one mail show different codes"


def _signalled(evidence: Evidence) -> Counter[str]:
    return Counter(submission_id for signals in evidence.signals for submission_id in signals)


def _opened(ledger: Ledger) -> Iterator[str]:
    for _, event in ledger.entries:
        if isinstance(event, Request) and event.attempt == 1 and event.fate == "applied":
            yield event.signin_id


def _named(event: Event) -> str:
    match event:
        case Request():
            return f"attempt {event.attempt} of {event.signin_id}"
        case Submission():
            return f"submission {event.submission_id} of {event.signin_id}"
        case Poison():
            return "poison"


def _listed(outcomes: Sequence[tuple[str, ...]]) -> str:
    return " or ".join(", ".join(kinds) or "nothing" for kinds in outcomes)
