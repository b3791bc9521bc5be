"""The ledger finds every broken promise: each test breaks one in an otherwise perfect world."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.ledger import DeadLetter, Event, Evidence, Expectation, Ledger, Mail, Poison, Request, ResultRecord
from tests.faults.ledger import Submission, account

_ID = "s" * 22
_GARBAGE = Poison(b"k", b"\xff", (("trace", b"1"), ("trace", b"2")))
_SENT = "signin.code_sent"
_WRONG = "otp.rejected wrong_code (4 left)"
_DONE = "signin.succeeded"


def _result(kind: str, submission_id: str | None = None) -> ResultRecord:
    return ResultRecord(kind, kind, _ID, kind.encode(), (("ce_id", kind.encode()),), submission_id)


def _world() -> tuple[Ledger, Evidence]:
    """Return somebody who mistyped once, a duplicate of each event, and a record of garbage."""
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
    return account(ledger, replace(evidence, **changes)).broken


def test_a_perfect_world_is_accounted_for() -> None:
    """Each record has one end, and what was redelivered is told."""
    found = account(*_world())
    assert found.broken == []
    assert found.outcomes == {"applied": 3, "duplicate": 2, "dead_lettered": 1}
    assert found.redelivered_signals == 1


def _with_result(*more: ResultRecord) -> list[ResultRecord]:
    return [*_world()[1].results, *more]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"starts": {}}, "it was lost: attempt 1"),
        ({"starts": {(_ID, 1): [1.0, 2.0]}}, "started 2 times"),
        ({"starts": {(_ID, 1): [2.0], (_ID, 2): [1.0]}}, "attempt 2 was started before attempt 1"),
        ({"signals": [["first"]]}, "it was lost: submission second"),
        ({"signals": [["second", "first"]]}, "out of order: [1, 0]"),
        ({"dead": []}, "it was lost: poison"),
        ({"dead": [DeadLetter(("requested", 0, 2), b"k", b"\xfe", _GARBAGE.headers)]}, "not byte for byte"),
        ({"dead": [DeadLetter(("requested", 0, 2), b"k", b"\xff", _GARBAGE.headers[::-1])]}, "not byte for byte"),
        ({"dead": [DeadLetter(("requested", 0, 0), b"k", b"\xff", ())]}, "none of ours, or was good"),
        ({"committed": {("requested", 0): 3, ("submitted", 0): 2}}, "committed 2, but the end is 3"),
        ({"results": _with_result(replace(_result(_DONE), value=b"other"))}, "same ce_id and other bytes"),
        ({"results": _with_result(replace(_result(_DONE), headers=()))}, "same ce_id and other bytes"),
        ({"results": _with_result(_result("signin.expired"))}, "not exactly one terminal result"),
        ({"results": _with_result()[:2]}, "not exactly one terminal result"),
        ({"results": [_result(_SENT), _result(_DONE, "second"), _result(_WRONG, "first")]}, "not exactly one terminal"),
        (
            {"results": [_result(_WRONG, "first"), _result(_SENT), _result(_DONE, "second")]},
            "expected signin.code_sent",
        ),
        ({"results": _with_result(replace(_result(_SENT), signin_id="x", event_id="x"))}, "none of ours"),
        ({"results": [replace(_result(f"{_WRONG}{n}"), submission_id="first") for n in "123456"]}, "has 6 verdicts"),
        ({"results": [_result(f"{_WRONG}{n}") for n in "123456"]}, "6 compares"),
        ({"mails": [Mail("ada@ok.example", f"<{n}>", "1") for n in "12"]}, "2 mails, but 1 were asked for"),
        ({"mails": [Mail("eve@ok.example", "<1>", "1")]}, "1 mails, but 0 were asked for"),
        ({"mails": [Mail("ada@ok.example", "<1>", n) for n in "12"]}, "show different codes"),
    ],
)
def test_a_broken_promise_is_told(changes: dict[str, Any], told: str) -> None:
    """Loss, repetition, disorder, other bytes, mails that nobody asked for: none goes unseen."""
    assert any(told in text for text in _broken(**changes)), _broken(**changes)


def test_what_a_crash_repeats_is_counted_and_fine() -> None:
    """The same result, the same mail, the same dead letter once more break no promise."""
    ledger, evidence = _world()
    again = replace(
        evidence,
        results=[*evidence.results, evidence.results[0]],
        mails=[*evidence.mails, *evidence.mails],
        dead=[*evidence.dead, *evidence.dead],
    )
    found = account(ledger, again)

    assert found.broken == []
    assert (found.repeated_results, found.second_mails, found.repeated_dead_letters) == (1, 1, 1)


@pytest.mark.parametrize("fate", ["late", "ignored"])
def test_what_is_too_old_must_not_reach_temporal(fate: Any) -> None:
    """A record that should be late or ignored, and was applied, is told."""
    ledger = Ledger()
    ledger.add(("requested", 0, 0), Request("old", fate=fate))
    ledger.add(("submitted", 0, 0), Submission("old", "one", fate=fate))
    assert account(ledger, Evidence()).outcomes == {fate: 2}
    found = account(ledger, Evidence(starts={("old", 1): [1.0]}, signals=[["one"]]))
    assert len([text for text in found.broken if "but it was applied" in text]) == 2


def test_codes_run_out_only_where_a_fault_lasts_long() -> None:
    """An early end as expired is a broken promise, unless the case says that it may be."""
    ledger, evidence = _world()
    early = replace(evidence, results=[_result(_SENT), _result("signin.expired")])
    assert any("expected" in text for text in account(ledger, early).broken)
    ledger.may_expire = True
    assert account(ledger, early).broken == []


_Ends = Callable[[], list[ResultRecord]]


@pytest.mark.parametrize("results", [lambda: [_result(_SENT)], lambda: [_result(_SENT), _result(_DONE)]])
def test_a_terminated_workflow_has_no_terminal_result(results: _Ends) -> None:
    """What an operator ended has no last word; if it has one all the same, that is told."""
    ledger, evidence = _world()
    ledger.expect(_ID, Expectation("ada@ok.example", ((_SENT,), (_SENT, _DONE)), 1, terminated=True))
    found = account(ledger, replace(evidence, results=results()))
    assert bool(found.broken) == (len(results()) == 2)
