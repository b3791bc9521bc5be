"""The audit finds every broken promise: each test breaks one in an otherwise perfect world."""

from dataclasses import replace
from typing import Any

import pytest

from tests.faults.audit import audit
from tests.faults.ledger import (
    DeadLetter,
    Event,
    Evidence,
    Expectation,
    Ledger,
    Mail,
    Poison,
    Request,
    ResultRecord,
)
from tests.faults.ledger import Submission

_ID = "s" * 22
_GARBAGE = Poison(b"k", b"\xff", (("trace", b"1"), ("trace", b"2")))
_SENT = "signin.code_sent"
_WRONG = "otp.rejected wrong_code (4 left)"
_DONE = "signin.succeeded"


def _result(kind: str, submission_id: str | None = None) -> ResultRecord:
    return ResultRecord(kind, kind, _ID, kind.encode(), (("ce_id", kind.encode()),), submission_id)


def _world() -> tuple[Ledger, Evidence]:
    """Return a sign-in with one mistyped code, a duplicate of each event, and a poison record."""
    ledger = Ledger()
    ledger.expect(_ID, Expectation("ada@ok.example", ((_SENT, _WRONG, _DONE),), 1))
    events: list[Event] = [Request(_ID), Request(_ID), _GARBAGE]
    for offset, event in enumerate(events):
        ledger.add(("requested", 0, offset), event)

    for offset, name in enumerate(["first", "second", "first"]):
        ledger.add(("submitted", 0, offset), Submission(_ID, name))

    ends = {("requested", 0): 3, ("submitted", 0): 3}
    evidence = Evidence(
        starts={(_ID, 1): [1.0]},
        signals=[["first", "second", "first"]],
        dead=[DeadLetter(("requested", 0, 2), b"k", b"\xff", (*_GARBAGE.headers, ("dlt-error", b"not_json")))],
        results=[_result(_SENT), _result(_WRONG, "first"), _result(_DONE, "second")],
        committed=ends,
        ends=ends,
        mails=[Mail("ada@ok.example", "<1>", "12345678")],
    )

    return ledger, evidence


def _broken(**changes: Any) -> list[str]:
    ledger, evidence = _world()
    return audit(ledger, replace(evidence, **changes)).broken


def test_a_perfect_world_passes_the_audit() -> None:
    """Every record has one outcome, and redelivered signals are counted."""
    found = audit(*_world())
    assert found.broken == []
    assert found.outcomes == {"applied": 3, "duplicate": 2, "dead_lettered": 1}
    assert found.redelivered_signals == 1


def _with_result(*more: ResultRecord) -> list[ResultRecord]:
    return [*_world()[1].results, *more]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"starts": {}}, "it was lost: attempt 1"),
        ({"starts": {(_ID, 1): [1.0, 2.0]}}, "started 2 times"),
        ({"starts": {(_ID, 1): [2.0], (_ID, 2): [1.0]}}, "attempt 2 was started before attempt 1"),
        ({"signals": [["first"]]}, "it was lost: submission second"),
        ({"signals": [["second", "first"]]}, "out of order: [1, 0]"),
        ({"dead": []}, "it was lost: poison"),
        (
            {"dead": [DeadLetter(("requested", 0, 2), b"k", b"\xfe", _GARBAGE.headers)]},
            "not byte for byte",
        ),
        (
            {"dead": [DeadLetter(("requested", 0, 2), b"k", b"\xff", _GARBAGE.headers[::-1])]},
            "not byte for byte",
        ),
        (
            {"dead": [DeadLetter(("requested", 0, 0), b"k", b"\xff", ())]},
            "original is unknown or was valid",
        ),
        (
            {"committed": {("requested", 0): 3, ("submitted", 0): 2}},
            "committed 2, but the end is 3",
        ),
        (
            {"results": _with_result(replace(_result(_DONE), value=b"other"))},
            "same ce_id and other bytes",
        ),
        (
            {"results": _with_result(replace(_result(_DONE), headers=()))},
            "same ce_id and other bytes",
        ),
        ({"results": _with_result(_result("signin.expired"))}, "not exactly one terminal result"),
        ({"results": _with_result()[:2]}, "not exactly one terminal result"),
        (
            {"results": [_result(_SENT), _result(_DONE, "second"), _result(_WRONG, "first")]},
            "not exactly one terminal",
        ),
        (
            {"results": [_result(_WRONG, "first"), _result(_SENT), _result(_DONE, "second")]},
            "expected signin.code_sent",
        ),
        (
            {"results": _with_result(replace(_result(_SENT), signin_id="x", event_id="x"))},
            "unknown sign-in",
        ),
        (
            {"results": [replace(_result(f"{_WRONG}{n}"), submission_id="first") for n in "123456"]},
            "has 6 verdicts",
        ),
        ({"results": [_result(f"{_WRONG}{n}") for n in "123456"]}, "6 compares"),
        (
            {"mails": [Mail("ada@ok.example", f"<{n}>", "1") for n in "12"]},
            "2 mails, but 1 were requested",
        ),
        ({"mails": [Mail("eve@ok.example", "<1>", "1")]}, "1 mails, but 0 were requested"),
        ({"mails": [Mail("ada@ok.example", "<1>", n) for n in "12"]}, "show different codes"),
    ],
)
def test_a_broken_promise_is_reported(changes: dict[str, Any], problem: str) -> None:
    """The audit reports losses, repeats, wrong order, changed bytes, and mails that nobody requested."""
    assert any(problem in text for text in _broken(**changes)), _broken(**changes)


def test_repeats_after_a_crash_are_counted_and_break_no_promise() -> None:
    """An identical second copy of a result, a mail or a dead letter is counted, but breaks no promise."""
    ledger, evidence = _world()
    again = replace(
        evidence,
        results=[*evidence.results, evidence.results[0]],
        mails=[*evidence.mails, *evidence.mails],
        dead=[*evidence.dead, *evidence.dead],
    )
    found = audit(ledger, again)

    assert found.broken == []
    assert (found.repeated_results, found.second_mails, found.repeated_dead_letters) == (1, 1, 1)


@pytest.mark.parametrize("fate", ["late", "ignored"])
def test_a_record_that_is_too_old_must_not_be_applied(fate: Any) -> None:
    """The audit reports a record that should have been late or ignored, but was applied."""
    ledger = Ledger()
    ledger.add(("requested", 0, 0), Request("old", fate=fate))
    ledger.add(("submitted", 0, 0), Submission("old", "one", fate=fate))

    assert audit(ledger, Evidence()).outcomes == {fate: 2}

    found = audit(ledger, Evidence(starts={("old", 1): [1.0]}, signals=[["one"]]))

    assert len([text for text in found.broken if "but it was applied" in text]) == 2


def test_codes_may_expire_only_if_the_case_allows_it() -> None:
    """An early ``signin.expired`` is a broken promise unless the case sets ``may_expire``."""
    ledger, evidence = _world()
    early = replace(evidence, results=[_result(_SENT), _result("signin.expired")])

    assert any("expected" in text for text in audit(ledger, early).broken)

    ledger.may_expire = True

    assert audit(ledger, early).broken == []


@pytest.mark.parametrize(("kinds", "is_broken"), [([_SENT], False), ([_SENT, _DONE], True)])
def test_a_terminated_workflow_has_no_terminal_result(kinds: list[str], is_broken: bool) -> None:
    """The audit reports a terminal result of a sign-in whose workflow an operator terminated."""
    ledger, evidence = _world()
    ledger.expect(_ID, Expectation("ada@ok.example", ((_SENT,), (_SENT, _DONE)), 1, terminated=True))
    found = audit(ledger, replace(evidence, results=[_result(kind) for kind in kinds]))
    assert bool(found.broken) == is_broken
