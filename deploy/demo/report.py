"""The report that ``--json`` writes."""

import json
import sys
from pathlib import Path
from typing import Any

from deploy.demo.journal import Entry, Journal
from deploy.demo.people import Person


def write_report(target: str, people: list[Person], journal: Journal, problems: list[str], took_s: float) -> None:
    """Write what happened to a file, or to standard output if ``target`` is ``-``."""
    report: dict[str, Any] = {
        "right": not problems and not any(person.problems for person in people),
        "trouble": problems,
        "took_s": round(took_s, 1),
        "request_to_mail_s": journal.request_to_mail_s,
        "submit_to_result_s": journal.submit_to_result_s,
        "people": [_person(person) for person in people],
        "entries": [_entry(entry) for entry in journal.entries],
    }
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"

    if target == "-":
        sys.stdout.write(text)
    else:
        Path(target).write_text(text, encoding="utf-8")


def _entry(entry: Entry) -> dict[str, str]:
    return {"at": entry.at.isoformat(), "kind": entry.kind, "who": entry.who, "text": entry.text}


def _person(person: Person) -> dict[str, Any]:
    outcome = {
        "right": person.state == "right",
        "expected": person.expected,
        "results": person.results,
    }
    latencies = {
        "request_to_mail_s": person.request_to_mail_s,
        "submit_to_result_s": person.submit_to_result_s,
    }

    return {
        "name": person.name,
        "about": person.about,
        "signin_id": person.signin_id,
        **outcome,
        "mails": person.mails,
        "trouble": person.problems,
        **latencies,
    }
