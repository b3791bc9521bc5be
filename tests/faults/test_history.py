"""A recorded history is whole, tells no secret, and goes to the second program."""

import json
from pathlib import Path

import pytest

from tests.faults.audit import Audit
from tests.faults.case import Finding
from tests.faults.history import History, SecondOpinion, judged
from tests.faults.report import rendered
from tests.history_check.samples import find, healthy, texts


def write(folder: Path, lines: list[str]) -> Path:
    """Write a history; return its path."""
    path = folder / "history.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def finding(violations: list[str]) -> Finding:
    """Return a finding in which only the second program may have found something."""
    opinion = SecondOpinion({"stored": 1_200, "result": 900}, 300, {"dead_letters": 2}, violations)
    return Finding("long-run", "faults", "ten faults", 300, 1.0, 100, 200.0, Audit(), [], opinion)


def test_a_history_says_how_many_lines_it_has(tmp_path: Path) -> None:
    """Its last line counts those before it; members without a value are left out."""
    history = History(tmp_path / "new" / "history.jsonl")
    history.append("log", topic="t", committed=None)
    history.fault("broker_killed")
    history.close()
    lines = [json.loads(line) for line in history.path.read_text().splitlines()]

    assert lines[0] == {"kind": "log", "topic": "t"}
    assert lines[1]["name"] == "broker_killed"
    assert lines[2] == {"kind": "closed", "lines": 2}


def test_a_digest_tells_only_what_is_the_same(tmp_path: Path) -> None:
    """A code has eight digits, so a digest without a key would be as good as the code. Each history has its own key."""
    one = History(tmp_path / "one.jsonl")
    other = History(tmp_path / "other.jsonl")

    assert one.digest("12345678") == one.digest(b"12345678")
    assert one.digest("12345678") != one.digest("12345679")
    assert one.digest("12345678") != other.digest("12345678")
    assert one.digest(None) != one.digest(b"")


async def test_the_second_program_judges_a_history(tmp_path: Path) -> None:
    """Its counts and its violations come back from a process of its own."""
    lines = healthy()
    whole = await judged(write(tmp_path, texts(lines)))
    lines.remove(find(lines, "dead_letter"))
    broken = await judged(write(tmp_path, texts(lines)))

    assert not whole.violations
    assert whole.sign_ins == 3
    assert any("garbage without a dead letter" in one for one in broken.violations)


async def test_a_history_that_was_cut_is_not_judged(tmp_path: Path) -> None:
    """Half a history without violations proves nothing."""
    with pytest.raises(RuntimeError, match="ends without being closed"):
        await judged(write(tmp_path, texts(healthy())[:-1]))


def test_a_case_holds_only_if_the_second_program_finds_nothing() -> None:
    """Its violations count like those of the audit."""
    assert finding([]).holds
    assert finding(["history: lost: x: y"]).all_problems == ["history: lost: x: y"]


def test_the_report_says_what_the_second_program_checked() -> None:
    """The page names the numbers of records and of violations."""
    run = {"on": "2026-11-27", "scale": "full", "versions": "Kafka"}
    page = rendered({"long-run": {**run, **finding([]).as_json()}})

    assert "1,200 records of 300 sign-ins checked against 900 results" in page
    assert "2 dead letters. Violations: 0." in page
