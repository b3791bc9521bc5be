"""The audit: compares the ledger with the servers' evidence and lists every broken promise. Pure functions."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.faults.ledger import (
    Event,
    Evidence,
    Expectation,
    Ledger,
    Mail,
    Partition,
    Poison,
    Position,
    Request,
)
from tests.faults.ledger import ResultRecord, Submission

MAX_COMPARES: Final = 5
_COMPARED: Final = ("otp.rejected wrong_code", "signin.succeeded")


@dataclass
class Audit:
    """How many records had which outcome, how much was repeated, and every broken promise."""

    outcomes: Counter[str] = field(default_factory=Counter)
    repeated_results: int = 0
    second_mails: int = 0
    repeated_dead_letters: int = 0
    redelivered_signals: int = 0
    broken: list[str] = field(default_factory=list)


def audit(ledger: Ledger, evidence: Evidence) -> Audit:
    """Check every event of the ledger against the evidence."""
    found = Audit()
    for check in (_records, _dead_letters, _order, _watermarks, _results, _sign_ins, _mails):
        found.broken += check(ledger, evidence, found)
    return found


def _records(ledger: Ledger, evidence: Evidence, found: Audit) -> Iterator[str]:
    """Check that each record is applied, a duplicate, late, ignored, or a dead letter: not lost, not applied twice."""
    dead = {letter.origin for letter in evidence.dead}
    signalled = Counter(submission_id for signals in evidence.signals for submission_id in signals)
    found.redelivered_signals = sum(count - 1 for count in signalled.values())
    seen = set[Event]()

    for position, event in ledger.entries:
        runs = _runs_of(event, evidence, signalled)
        outcome = _outcome(event, runs, is_dead=position in dead)

        if runs > 1:
            yield f"{position}: its workflow was started {runs} times"

        if outcome != event.fate:
            yield f"{position}: {event.fate} was expected, but it was {outcome}: {_description(event)}"

        if outcome == "applied" and event in seen:
            outcome = "duplicate"

        seen.add(event)
        found.outcomes[outcome] += 1


def _runs_of(event: Event, evidence: Evidence, signalled: Mapping[str, int]) -> int:
    """Return how often Temporal applied an event. A submission signalled again is deduplicated, so it counts once."""
    match event:
        case Request():
            return len(evidence.starts.get((event.signin_id, event.attempt), ()))
        case Submission():
            return min(1, signalled[event.submission_id])
        case Poison():
            return 0


def _outcome(event: Event, runs: int, *, is_dead: bool) -> str:
    if is_dead:
        return "dead_lettered"
    if event.fate == "dead_lettered" or (event.fate == "applied" and not runs):
        return "lost"
    return "applied" if runs else event.fate


def _dead_letters(ledger: Ledger, evidence: Evidence, found: Audit) -> Iterator[str]:
    """Check that dead letters equal the original records byte for byte."""
    poison = {position: event for position, event in ledger.entries if isinstance(event, Poison)}
    copies = Counter(letter.origin for letter in evidence.dead)
    found.repeated_dead_letters = sum(count - 1 for count in copies.values())

    for letter in evidence.dead:
        original = poison.get(letter.origin)
        if original is None:
            yield f"{letter.origin}: the dead letter's original is unknown or was valid"
            continue

        headers = tuple(header for header in letter.headers if not header[0].startswith("dlt-"))
        if (letter.key, letter.value, headers) != (original.key, original.value, original.headers):
            yield f"{letter.origin}: the dead letter is not byte for byte the record"


def _order(ledger: Ledger, evidence: Evidence, found: Audit) -> Iterator[str]:
    """Check that a mailbox's submissions and a sign-in's attempts are first applied in the order of their offsets."""
    positions: dict[str, Position] = {}
    for position, event in ledger.entries:
        if isinstance(event, Submission) and event.fate == "applied":
            positions.setdefault(event.submission_id, position)

    for signals in evidence.signals:
        applied = [positions[one] for one in dict.fromkeys(signals) if one in positions]
        for partition, offsets in _offsets_by_partition(applied).items():
            if offsets != sorted(offsets):
                yield f"{partition}: submissions of one mailbox were applied out of order: {offsets}"

    for (signin_id, attempt), starts in evidence.starts.items():
        before = evidence.starts.get((signin_id, attempt - 1))
        if before and min(starts) < min(before):
            yield f"{signin_id}: attempt {attempt} was started before attempt {attempt - 1}"


def _offsets_by_partition(positions: Iterable[Position]) -> dict[Partition, list[int]]:
    offsets = defaultdict[Partition, list[int]](list)
    for topic, partition, offset in positions:
        offsets[topic, partition].append(offset)
    return offsets


def _watermarks(ledger: Ledger, evidence: Evidence, found: Audit) -> Iterator[str]:
    """Check that the committed offsets have reached the ends of the partitions."""
    for partition, end in evidence.ends.items():
        committed = evidence.committed.get(partition, 0)
        if committed != end:
            yield f"{partition}: committed {committed}, but the end is {end}"


def _results(ledger: Ledger, evidence: Evidence, found: Audit) -> Iterator[str]:
    """Check that repeats have the same bytes, and count verdicts per submission and compares per sign-in."""
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
        if count > MAX_COMPARES:
            yield f"{signin_id}: {count} compares"


def _sign_ins(ledger: Ledger, evidence: Evidence, found: Audit) -> Iterator[str]:
    """Check each sign-in's results: as expected, in order, with exactly one terminal result, which is the last."""
    results = _results_by_sign_in(evidence)
    opened = set(_opened(ledger))

    for signin_id in opened | results.keys():
        own = results.get(signin_id, [])
        kinds = tuple(one.kind for one in own)
        expected = ledger.expectations.get(signin_id)
        if expected is None:
            yield f"{signin_id}: a result of an unknown sign-in"
            continue

        if signin_id in opened and not _ends_once(own, expected):
            yield f"{signin_id}: not exactly one terminal result, at the end: {list(kinds)}"

        if kinds not in expected.outcomes and not (ledger.may_expire and _expired_early(kinds, expected)):
            yield f"{signin_id}: expected {_alternatives(expected.outcomes)}; got {_alternatives([kinds])}"


def _results_by_sign_in(evidence: Evidence) -> dict[str, list[ResultRecord]]:
    """Return the results of each sign-in, without repeats."""
    first: dict[str, dict[str, ResultRecord]] = defaultdict(dict)
    for result in evidence.results:
        first[result.signin_id].setdefault(result.event_id, result)
    return {signin_id: list(results.values()) for signin_id, results in first.items()}


def _ends_once(results: Sequence[ResultRecord], expected: Expectation) -> bool:
    """Whether the last result, and no other, is terminal. A terminated sign-in must have none."""
    counted = [one for one in results if "unknown_signin" not in one.kind]
    ends = [number for number, one in enumerate(counted) if one.is_terminal]
    return ends == ([] if expected.terminated else [len(counted) - 1])


def _expired_early(kinds: tuple[str, ...], expected: Expectation) -> bool:
    before = kinds[:-1]
    return kinds[-1:] == ("signin.expired",) and any(before == outcome[: len(before)] for outcome in expected.outcomes)


def _mails(ledger: Ledger, evidence: Evidence, found: Audit) -> Iterator[str]:
    """Check that nobody got more mails than requested, and that a second copy of a mail shows the same code."""
    copies = Counter(mail.message_id for mail in evidence.mails)
    found.second_mails = sum(count - 1 for count in copies.values())
    requested = Counter[str]()
    for expectation in ledger.expectations.values():
        requested[expectation.address] += expectation.mails

    mails_by_address = defaultdict[str, list[Mail]](list)
    for mail in evidence.mails:
        mails_by_address[mail.address].append(mail)

    for address, mails in mails_by_address.items():
        different = {mail.message_id for mail in mails}
        if len(different) > requested[address]:
            yield f"{address}: {len(different)} mails, but {requested[address]} were requested"

        for message_id in different:
            if len({mail.code for mail in mails if mail.message_id == message_id}) > 1:
                yield f"{address}: two copies of one mail show different codes"


def _opened(ledger: Ledger) -> Iterator[str]:
    for _, event in ledger.entries:
        if isinstance(event, Request) and event.attempt == 1 and event.fate == "applied":
            yield event.signin_id


def _description(event: Event) -> str:
    match event:
        case Request():
            return f"attempt {event.attempt} of {event.signin_id}"
        case Submission():
            return f"submission {event.submission_id} of {event.signin_id}"
        case Poison():
            return "poison"


def _alternatives(outcomes: Sequence[tuple[str, ...]]) -> str:
    return " or ".join(", ".join(kinds) or "nothing" for kinds in outcomes)
