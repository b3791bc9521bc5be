"""Writes the findings of a run to ``docs/faults.json`` (data) and ``docs/faults.md`` (a readable page)."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from deploy.local.places import PROJECT
from tests.faults.case import Finding
from tests.faults.programme import CASES, CLUSTER_CASES
from tests.faults.versions import runs, versions

DOCUMENT: Final = PROJECT / "docs" / "faults.md"
DATA: Final = PROJECT / "docs" / "faults.json"
_OUTCOMES: Final = ("applied", "duplicate", "late", "ignored", "dead_lettered", "lost")
_RECORDED: Final = {
    "result": "results",
    "mail": "mails",
    "dead_letter": "dead letters",
    "workflow": "runs of workflows",
    "signal": "signals",
    "log": "partitions",
}
_HEADING: Final = "| case | fault | observed | people | records | second mails | recovery | peak memory | holds |"
_HEAD: Final = """\
# Fault programme

`make faults` writes this page; do not edit it. `docs/faults.json` holds the same data and more.

The servers are real: Kafka (one broker, or for the last cases three, of which two must have a record), Temporal,
SMTP, siteverify and DNS, with `signin-worker run` in processes of its own. One fault after the other is injected
while people sign in. Some of them mistype, guess or request a second mail; some are bots; some have every event
produced three times; garbage comes in between. Afterwards an audit accounts for every record produced. It relies only
on what the servers report, never on the worker itself: Kafka's topics and committed offsets, Temporal's workflows and
their histories, and the mails that arrived. A case holds if

* every record was applied, or was a duplicate, late or ignored, or became a dead letter, byte for byte (rule 1: no
  loss);
* no workflow was started twice, no submission was judged twice, and no sign-in had more than five compares (rule 2);
* a mailbox's submissions and a sign-in's attempts were applied in order; each sign-in's results came in order, with
  exactly one terminal result, the last; a repeated result has the same `ce_id` and the same bytes (rule 3);
* nobody got a mail that they did not request. After a crash between the mail server's answer and its record in
  Temporal, a second copy may be sent: it is the same mail, with the same `Message-ID` and the same code;
* the committed offsets equal the ends of the partitions, and no worker used more than 512 MB of memory;
* recovery was automatic: the only help is to restart a process that has ended, as an orchestrator would. (One case
  shortens the wait: for nine out of ten of the 100 kills at random moments, the consumer group is told at once. In all
  other cases it finds out by itself after 6 s.)

The last case is one long run with ten different faults. Its whole history is recorded, as is that of `broker-killed`.
A second program, `python -m tests.history_check`, judges both again: it shares no code with the audit and goes by the
public contract alone. These cases hold only if both find nothing.

*Recovery* is the longest time from the end of a fault until everything produced by then was done and committed; in
`kill-amid-requests` it is the time until everybody had their code in the mail.
*Peak memory* is the largest resident set of any worker in the case.
"""
_ON_CLUSTER: Final = """\
On Temporal as it runs in production, with a process for each service and PostgreSQL
([ADR 37](adr/0037-temporal-as-in-production.md)): {cases}. All other cases run on the dev server."""


def write(findings: list[Finding], scale: str, data: Path = DATA, document: Path = DOCUMENT) -> None:
    """Merge findings into those of earlier runs, and rewrite the page."""
    stored: dict[str, Any] = json.loads(data.read_text()) if data.exists() else {}
    run = {"on": datetime.now(UTC).date().isoformat(), "scale": scale, "versions": versions()}
    stored |= {finding.name: {**run, **finding.as_json()} for finding in findings}
    stored = {case.name: stored[case.name] for case in (*CASES, *CLUSTER_CASES) if case.name in stored}

    data.parent.mkdir(exist_ok=True)
    data.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")
    document.write_text(rendered(stored))


def rendered(stored: dict[str, Any]) -> str:
    """Return the page, from the findings in ``docs/faults.json``."""
    lines = [_HEAD, _HEADING, "|" + "---|" * _HEADING.count(" | ") + "---|"]
    lines += [_row(name, finding) for name, finding in stored.items()]
    lines.append("")
    for name, finding in stored.items():
        lines += _problems(name, finding)

    for name, finding in stored.items():
        lines += _second_opinion(name, finding.get("history"))

    on_cluster = [case.name for case in CLUSTER_CASES if case.name in stored]
    if on_cluster:
        lines += [_ON_CLUSTER.format(cases=", ".join(on_cluster)), ""]

    short = [name for name, finding in stored.items() if finding["scale"] == "short"]
    if short:
        lines += [f"Run at the small scale of `make test`: {', '.join(short)}.", ""]

    lines += runs(stored)

    return "\n".join(lines) + "\n"


def _row(name: str, finding: dict[str, Any]) -> str:
    recovery_s = finding["recovery_s"]
    cells = (
        name,
        finding["injected"],
        finding["seen"],
        finding["people"],
        _records(finding["records"]),
        finding["second_mails"],
        "–" if recovery_s is None else f"{recovery_s:.1f} s",
        f"{finding['peak_rss_mb']} MB",
        "yes" if finding["holds"] else "**no**",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _records(outcomes: dict[str, int]) -> str:
    counts = [f"{outcomes[kind]} {kind}" for kind in _OUTCOMES if outcomes.get(kind)]
    return ", ".join(counts).replace("_", "-")


def _second_opinion(name: str, opinion: dict[str, Any] | None) -> list[str]:
    """Return the paragraph on what the second program says."""
    if opinion is None:
        return []

    counts = opinion["lines"]
    records = counts.get("stored", 0)
    told = ", ".join(f"{counts.get(kind, 0):,} {plural}" for kind, plural in _RECORDED.items())
    repeats = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in opinion["repeats"].items())

    return [
        f"The second program on the history of {name}: {records:,} records of {opinion['sign_ins']:,} sign-ins "
        f"checked against {told}; repeated, as is allowed: {repeats}. Violations: {len(opinion['violations'])}.",
        "",
    ]


def _problems(name: str, finding: dict[str, Any]) -> list[str]:
    problems = [f"* {name}: {text}" for text in finding["trouble"]]
    return [*problems, ""] if problems else []
