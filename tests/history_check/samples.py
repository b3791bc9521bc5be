"""A small history in which every promise is kept, and the means to mutilate it."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

Lines = list[dict[str, Any]]

REQUESTED: Final = "signin.requested"
SUBMITTED: Final = "otp.submitted"
ADA: Final = "a" * 22
BOB: Final = "b" * 22
_EXPIRES_AT: Final = 300.0


class HistoryBuilder:
    """Writes a history as the recorder does: first what happened, then what was read back."""

    def __init__(self) -> None:
        self._happened: Lines = []
        self._read_back: Lines = []
        self._ends: dict[str, int] = {}

    def record(self, topic: str, at: float, value: str, **meaning: Any) -> None:
        """Add a record that was emitted, and is in its topic."""
        place = {"topic": topic, "partition": 0, "offset": self._offset(topic), "timestamp": at}
        content = {"key": f"key of {value}", "value": value, "headers": "none"}
        self._happened.append({"kind": "emitted", **place, **content, **meaning})
        self._read_back.append({"kind": "stored", **place, **content})

    def request(
        self, at: float, signin_id: str, attempt: int = 1, *, is_new: bool = True, is_human: bool = True
    ) -> None:
        """Add a request, and unless it is a repeat, its workflow."""
        self.record(
            REQUESTED,
            at,
            f"{signin_id} {attempt}",
            means="request",
            signin_id=signin_id,
            attempt=attempt,
            account=signin_id[0],
            token_passes=is_human,
            domain_exists=True,
        )
        if is_new:
            run = {"id": f"signin/{signin_id}/{attempt}", "run_id": "1", "started": at, "status": "COMPLETED"}
            self._read_back.append({"kind": "workflow", **run})

    def submission(self, at: float, signin_id: str, submission_id: str, code: str) -> None:
        """Add a submission, and its signal."""
        self.record(
            SUBMITTED,
            at,
            submission_id,
            means="submission",
            signin_id=signin_id,
            submission_id=submission_id,
            account=signin_id[0],
            code=code,
        )
        signal = {"workflow": f"mailbox/{signin_id[0]}", "submission_id": submission_id}
        self._read_back.append({"kind": "signal", **signal})

    def garbage(self, at: float) -> None:
        """Add a record of garbage, and its dead letter."""
        self.record(REQUESTED, at, "garbage", means="garbage")
        topic = f"{REQUESTED}.dlt"
        origin = [REQUESTED, 0, self._ends[REQUESTED] - 1]
        place = {"topic": topic, "partition": 0, "offset": self._offset(topic), "origin": origin}
        content = {"key": "key of garbage", "value": "garbage", "headers": "none"}
        self._read_back.append({"kind": "dead_letter", **place, "error": "not_json", **content})

    def mail(self, at: float, signin_id: str, attempt: int, code: str) -> None:
        """Add a mail."""
        mail = {"message_id": f"{signin_id} {attempt}", "account": signin_id[0], "code": code}
        self._happened.append({"kind": "mail", "at": at, **mail})

    def result(self, at: float, signin_id: str, kind: str, **members: Any) -> None:
        """Add a result."""
        event_id = f"{signin_id} {kind} {members}"
        headers = {
            "ce_specversion": "1.0",
            "ce_id": event_id,
            "ce_source": "/signin-worker",
            "ce_type": kind,
            "ce_time": str(at),
            "ce_subject": signin_id,
        }
        place = {"topic": "results", "partition": 0, "offset": self._offset("results"), "timestamp": at}
        known = {"key": signin_id, "value": event_id, "signin_id": signin_id, "occurred_at": at}
        self._read_back.append(
            {"kind": "result", **place, **known, "headers": [list(one) for one in headers.items()], **members}
        )

    def code_sent(self, at: float, signin_id: str, attempt: int = 1) -> None:
        """Add ``signin.code_sent``."""
        self.result(at, signin_id, "signin.code_sent", attempt=attempt, expires_at=_EXPIRES_AT)

    def wrong_code(self, at: float, signin_id: str, submission_id: str, left: int) -> None:
        """Add ``otp.rejected`` for a wrong code."""
        members = {"submission_id": submission_id, "reason": "wrong_code", "attempts_left": left}
        self.result(at, signin_id, "otp.rejected", **members)

    def lines(self) -> Lines:
        """Return the whole history but for its last line."""
        inbound = (REQUESTED, SUBMITTED)
        begun = {"kind": "begun", "format": 1, "inbound": list(inbound)}
        order = ("stored", "result", "dead_letter", "workflow", "signal")
        read_back = sorted(self._read_back, key=lambda line: order.index(line["kind"]))
        logs = [
            {"kind": "log", "topic": topic, "partition": 0, "end": end, "committed": end if topic in inbound else None}
            for topic, end in self._ends.items()
        ]

        return [begun, *self._happened, *read_back, *logs]

    def _offset(self, topic: str) -> int:
        self._ends[topic] = self._ends.get(topic, 0) + 1
        return self._ends[topic] - 1


def healthy() -> Lines:
    """Return a history: Ada asks twice, mistypes and signs in; Bob guesses in vain; a bot; garbage; repeats."""
    history = HistoryBuilder()
    history.request(1, ADA)
    history.request(1, ADA, is_new=False)
    history.garbage(2)
    history.mail(3, ADA, 1, "right")
    history.code_sent(4, ADA)
    history.request(5, ADA, 2)
    history.mail(6, ADA, 2, "right")
    history.code_sent(7, ADA, 2)
    history.submission(8, ADA, "ada-wrong", "wrong")
    history.wrong_code(9, ADA, "ada-wrong", 4)
    history.submission(10, ADA, "ada-right", "right")
    history.submission(10, ADA, "ada-right", "right")
    history.result(11, ADA, "signin.succeeded", submission_id="ada-right")
    history.submission(12, ADA, "ada-late", "right")

    history.request(1, BOB)
    history.mail(3, BOB, 1, "other")
    history.code_sent(4, BOB)
    for guess in range(5):
        history.submission(5 + guess, BOB, f"guess-{guess}", "wrong")
        history.wrong_code(5.5 + guess, BOB, f"guess-{guess}", 4 - guess)
    history.result(20, BOB, "signin.failed", reason="too_many_attempts")

    history.request(1, "c" * 22, is_human=False)
    history.result(2, "c" * 22, "signin.rejected", reason="challenge_failed")

    return history.lines()


def texts(lines: Lines) -> list[str]:
    """Return the lines of the file, closed as it has to be."""
    return [json.dumps(line) for line in [*lines, {"kind": "closed", "lines": len(lines)}]]


def find(lines: Lines, kind: str, **members: Any) -> dict[str, Any]:
    """Return the first line of this kind with these members."""
    return next(line for line in lines if line["kind"] == kind and members.items() <= line.items())


def result_of(lines: Lines, signin_id: str, ce_type: str) -> dict[str, Any]:
    """Return the first result of this type."""
    return next(
        line
        for line in lines
        if line["kind"] == "result" and line["signin_id"] == signin_id and ["ce_type", ce_type] in line["headers"]
    )


Mutilation = Callable[[Lines], None]


def renumber_results(lines: Lines) -> None:
    """Give all results new offsets in the order in which they stand: as if the log were so."""
    results = [line for line in lines if line["kind"] == "result"]
    for offset, line in enumerate(results):
        line["offset"] = offset
    if logs := [line for line in lines if line["kind"] == "log" and line["topic"] == "results"]:
        logs[0]["end"] = len(results)


def insert_after(lines: Lines, before: dict[str, Any], *new: dict[str, Any]) -> None:
    """Insert lines after another."""
    place = lines.index(before) + 1
    lines[place:place] = new


def swap(lines: Lines, one: dict[str, Any], other: dict[str, Any]) -> None:
    """Let two lines change places."""
    first = lines.index(one)
    second = lines.index(other)
    lines[first] = other
    lines[second] = one


def with_header(line: dict[str, Any], name: str, value: str) -> dict[str, Any]:
    """Return a result with another value of a header."""
    headers: Sequence[list[str]] = line["headers"]
    return {**line, "headers": [[one, value if one == name else old] for one, old in headers]}
