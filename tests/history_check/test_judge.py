"""The second program notices every broken promise: each test mutilates a history in which all are kept."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.history_check import __main__ as program
from tests.history_check.judge import Judgement, judge
from tests.history_check.lines import HistoryError
from tests.history_check.samples import (
    ADA,
    BOB,
    REQUESTED,
    SUBMITTED,
    Lines,
    Mutilation,
    find,
    healthy,
    insert_after,
    renumber_results,
    result_of,
    swap,
    texts,
    with_header,
)

_SENT = "signin.code_sent"
_WRONG = "otp.rejected"
_DONE = "signin.succeeded"


def judged(lines: Lines) -> Judgement:
    """Return the judgement on a history."""
    return judge(texts(lines))


def test_nothing_is_wrong_with_a_healthy_history() -> None:
    """The history that all tests start from keeps every promise."""
    found = judged(healthy())

    assert not found.violations
    assert found.sign_ins == 3
    assert found.lines["stored"] == 15
    assert found.repeats == {"results": 0, "mails": 0, "dead_letters": 0, "signals": 1}


def drops_result(signin_id: str, ce_type: str) -> Mutilation:
    """Return a mutilation: a result was never published."""

    def mutilate(lines: Lines) -> None:
        lines.remove(result_of(lines, signin_id, ce_type))
        renumber_results(lines)

    return mutilate


def drops(kind: str, **members: Any) -> Mutilation:
    """Return a mutilation: a line is missing."""
    return lambda lines: lines.remove(find(lines, kind, **members))


def changes(kind: str, change: dict[str, Any], **members: Any) -> Mutilation:
    """Return a mutilation: a line has other members."""
    return lambda lines: find(lines, kind, **members).update(change)


def changes_result(signin_id: str, ce_type: str, **change: Any) -> Mutilation:
    """Return a mutilation: a result has other members."""
    return lambda lines: result_of(lines, signin_id, ce_type).update(change)


def adds_result(signin_id: str, ce_type: str, new_id: str = "", **change: Any) -> Mutilation:
    """Return a mutilation: a result is there again, at the end; with ``new_id`` under another ``ce_id``."""

    def mutilate(lines: Lines) -> None:
        again = {**result_of(lines, signin_id, ce_type), "timestamp": 30.0, **change}
        last = [line for line in lines if line["kind"] == "result"][-1]
        insert_after(lines, last, with_header(again, "ce_id", new_id) if new_id else again)
        renumber_results(lines)

    return mutilate


def swaps_results(signin_id: str, one: str, other: str) -> Mutilation:
    """Return a mutilation: two results of a sign-in were published in the wrong order."""

    def mutilate(lines: Lines) -> None:
        swap(lines, result_of(lines, signin_id, one), result_of(lines, signin_id, other))
        renumber_results(lines)

    return mutilate


def swaps_signals(lines: Lines) -> None:
    """Let two submissions be applied in the wrong order."""
    swap(lines, find(lines, "signal", submission_id="guess-1"), find(lines, "signal", submission_id="guess-3"))


def compares_six_codes(lines: Lines) -> None:
    """Let Ada's late submission be the sixth that is compared, after four more wrong ones."""
    done = result_of(lines, ADA, _DONE)
    wrong = result_of(lines, ADA, _WRONG)
    late = {**wrong, "submission_id": "ada-late", "occurred_at": 13}
    guesses = [with_header(late, "ce_id", str(left)) | {"attempts_left": left} for left in (3, 2, 1, 0, -1)]
    insert_after(lines, wrong, *guesses)
    lines.remove(done)
    renumber_results(lines)


def mails_nobody(lines: Lines) -> None:
    """Add a mail to somebody who asked for none."""
    insert_after(lines, find(lines, "mail"), {**find(lines, "mail"), "account": "z", "message_id": "z"})


def adds_mail(**change: Any) -> Mutilation:
    """Return a mutilation: one more mail to Ada."""
    return lambda lines: insert_after(lines, find(lines, "mail"), {**find(lines, "mail"), **change})


def runs_twice(lines: Lines) -> None:
    """Let Temporal apply a request twice."""
    first = find(lines, "workflow", id=f"signin/{ADA}/1")
    insert_after(lines, first, {**first, "run_id": "2"})


def tells_two_mailboxes(lines: Lines) -> None:
    """Let Temporal tell two mailboxes of one submission."""
    insert_after(
        lines, find(lines, "signal"), {"kind": "signal", "workflow": "mailbox/z", "submission_id": "ada-wrong"}
    )


def adds_record(lines: Lines) -> None:
    """Let a record be in the log that nobody emitted."""
    log = find(lines, "log", topic=SUBMITTED)
    last = [line for line in lines if line["kind"] == "stored" and line["topic"] == SUBMITTED][-1]
    insert_after(lines, last, {**last, "offset": log["end"]})
    log.update(end=log["end"] + 1, committed=log["end"] + 1)


@pytest.mark.parametrize(
    ("mutilate", "expected"),
    [
        # Lost.
        pytest.param(drops_result(ADA, _DONE), "it has no terminal result; it is live", id="no-end"),
        pytest.param(drops_result(BOB, "signin.failed"), "no terminal result; it is exhausted", id="no-failure"),
        pytest.param(drops_result(ADA, _SENT), "2 mails arrived, but signin.code_sent says 1", id="no-code-sent"),
        pytest.param(drops_result(ADA, _SENT), "attempt 1 was never answered", id="no-answer"),
        pytest.param(drops_result(BOB, _WRONG), "submission guess-0 has no verdict", id="no-verdict"),
        pytest.param(drops("workflow", id=f"signin/{ADA}/2"), "attempt 2 never reached Temporal", id="no-workflow"),
        pytest.param(drops("signal", submission_id="ada-late"), "ada-late: it never reached Temporal", id="no-signal"),
        pytest.param(drops("dead_letter"), "garbage without a dead letter", id="no-dead-letter"),
        pytest.param(drops("stored", topic=SUBMITTED, offset=8), "but it is not in the log", id="record-gone"),
        pytest.param(drops("stored", topic=REQUESTED, offset=1), "offset 1 was expected here", id="record-missing"),
        # Doubled.
        pytest.param(adds_result(ADA, _SENT, value="x"), "the same ce_id, but other bytes", id="repeat-differs"),
        pytest.param(adds_result(ADA, _DONE, "new"), "is a second terminal result", id="second-end"),
        pytest.param(swaps_results(BOB, _SENT, "signin.failed"), "a result after the end", id="end-first"),
        pytest.param(runs_twice, "a request was applied twice", id="two-runs"),
        pytest.param(tells_two_mailboxes, "two mailboxes were told of it", id="two-mailboxes"),
        pytest.param(
            changes_result(BOB, _WRONG, submission_id="guess-1"), "guess-1 has two verdicts", id="two-verdicts"
        ),
        pytest.param(changes_result(ADA, _SENT, attempt=2), "attempt 2 was answered twice", id="two-answers"),
        # Out of order.
        pytest.param(swaps_signals, "it was applied after offset 7 of its partition", id="signals-swapped"),
        pytest.param(swaps_results(ADA, _WRONG, _DONE), "otp.rejected is a result after the end", id="results-swapped"),
        pytest.param(
            changes("workflow", {"started": 0.5}, id=f"signin/{ADA}/2"), "attempt 2 was started before", id="attempts"
        ),
        pytest.param(
            changes_result(BOB, _WRONG, occurred_at=1.0), "before submission guess-0 was made", id="too-early"
        ),
        pytest.param(
            changes_result(ADA, _SENT, occurred_at=0.5), "before attempt 1 was requested", id="before-request"
        ),
        # Compares and verdicts.
        pytest.param(compares_six_codes, "6 codes were compared", id="six-compares"),
        pytest.param(changes_result(BOB, _WRONG, attempts_left=3), "3 tries left, but it should be 4", id="miscounted"),
        pytest.param(
            changes_result(ADA, _WRONG, reason="locked", attempts_left=3), "locked out was charged", id="charged"
        ),
        pytest.param(
            changes("emitted", {"code": "guessed"}, submission_id="ada-right"),
            "a code that was in no mail",
            id="guessed",
        ),
        pytest.param(
            changes("emitted", {"code": "right"}, submission_id="ada-wrong"), "wrong_code for the code in", id="denied"
        ),
        pytest.param(changes_result(ADA, _DONE, occurred_at=400.0), "after the code had expired", id="too-late"),
        # Mails.
        pytest.param(mails_nobody, "1 mails, but 0 requests deserve one", id="mail-to-nobody"),
        pytest.param(adds_mail(message_id="third"), "3 mails, but 2 requests deserve one", id="mail-too-many"),
        pytest.param(adds_mail(code="other"), "two copies of a mail show different codes", id="mail-differs"),
        pytest.param(changes("mail", {"at": 40}), "a mail arrived after the end", id="mail-after-end"),
        pytest.param(changes("mail", {"at": 0.5}), "a mail arrived before it was requested", id="mail-too-early"),
        pytest.param(changes("mail", {"at": 4.5}, account="b"), "but no mail had arrived", id="sent-too-early"),
        pytest.param(drops("mail"), "1 mails arrived, but signin.code_sent says 2", id="mail-missing"),
        pytest.param(
            changes("emitted", {"token_passes": False}, attempt=2), "which it did not deserve", id="mail-to-bot"
        ),
        # Offsets.
        pytest.param(changes("log", {"committed": 4}, topic=REQUESTED), "the group committed 4", id="commit-short"),
        pytest.param(changes("log", {"committed": None}, topic=SUBMITTED), "the group committed None", id="no-commit"),
        pytest.param(changes("log", {"end": 99}, topic="results"), "the partition ends here", id="results-missing"),
        pytest.param(drops("log", topic="results"), "the end of this partition was not recorded", id="no-end-offset"),
        pytest.param(changes("stored", {"value": "x"}), "the record is not what was emitted", id="record-differs"),
        pytest.param(adds_record, "nobody emitted this record", id="record-from-nobody"),
        # Form.
        pytest.param(changes("dead_letter", {"headers": "x"}), "it is not byte for byte the original", id="dlt-bytes"),
        pytest.param(changes("dead_letter", {"error": "x"}), "x is no error of the contract", id="dlt-error"),
        pytest.param(changes_result(ADA, _SENT, key="x"), "key, ce_subject and signin_id differ", id="key"),
        pytest.param(changes("workflow", {"status": "FAILED"}), "its run 1 is FAILED", id="workflow-failed"),
        pytest.param(
            changes("emitted", {"token_passes": True}, signin_id="c" * 22), "though its request was good", id="refused"
        ),
    ],
)
def test_a_broken_promise_is_noticed(mutilate: Mutilation, expected: str) -> None:
    """The violation that the mutilation causes is among those that are found."""
    lines = healthy()
    mutilate(lines)

    assert any(expected in str(one) for one in judged(lines).violations), judged(lines).violations


@pytest.mark.parametrize(
    ("mutilate", "repeated"),
    [
        pytest.param(adds_result(ADA, _SENT), "results", id="result"),
        pytest.param(adds_mail(at=50), "mails", id="mail"),
    ],
)
def test_a_repeat_with_the_same_bytes_is_allowed(mutilate: Mutilation, repeated: str) -> None:
    """A repeated result may stand anywhere, also after the end; so may a second copy of a mail."""
    lines = healthy()
    mutilate(lines)
    found = judged(lines)

    assert not found.violations
    assert found.repeats[repeated] == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([], "the history ends without being closed"),
        (texts(healthy())[:-1], "the history ends without being closed"),
        ([*texts(healthy())[:5], *texts(healthy())[6:]], "lines were written before it"),
        (texts(healthy())[1:], "it is not the beginning of a history"),
        (["{"], "line 1: it is no line of a history"),
        (['{"kind": "mail"}'], "line 1: mail lacks at, message_id, account, code"),
    ],
)
def test_a_history_that_is_not_whole_is_refused(content: list[str], expected: str) -> None:
    """A file that was cut, or is none of ours, is not judged."""
    with pytest.raises(HistoryError, match=expected):
        judge(content)


@pytest.mark.parametrize(("is_healthy", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_tells_whether_every_promise_was_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_healthy: bool,
    code: int,
) -> None:
    """``python -m tests.history_check FILE`` exits with 0 or 1, and prints the violations, as text or as JSON."""
    lines = healthy()
    if not is_healthy:
        runs_twice(lines)
    path = tmp_path / "history.jsonl"
    path.write_text("\n".join(texts(lines)) + "\n")

    monkeypatch.setattr("sys.argv", ["history_check", str(path)])
    assert program.main() == code
    assert f"{code} violations" in capsys.readouterr().out

    monkeypatch.setattr("sys.argv", ["history_check", str(path), "--json"])
    assert program.main() == code
    assert len(json.loads(capsys.readouterr().out)["violations"]) == code


def test_a_file_that_is_no_history_has_an_exit_code_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing file is not a history without violations."""
    monkeypatch.setattr("sys.argv", ["history_check", str(tmp_path / "none.jsonl")])

    assert program.main() == 65
    assert "none.jsonl" in capsys.readouterr().err
