"""Writes the findings of a run to ``docs/redteam.json`` (data) and ``docs/redteam.md`` (a readable page)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from deploy.local.places import PROJECT
from tests.faults.versions import runs, versions
from tests.redteam.attack import Finding
from tests.redteam.programme import NAMES

DOCUMENT: Final = PROJECT / "docs" / "redteam.md"
DATA: Final = PROJECT / "docs" / "redteam.json"
_HEAD: Final = """\
# Red team

`make redteam` writes this page; do not edit it. `docs/redteam.json` holds the same data and more.

These are the attacks from the abuse list of the security review. They run against real servers: Kafka, Temporal, SMTP,
siteverify and DNS, with `signin-worker run` in a process of its own. Limits have their defaults unless a row says
otherwise. The attacker can emit any event at any rate, solves every challenge, and knows the sign-in ids of others.
Nothing relies on what the worker reports: mails are counted at the mail server, results in their topic, and compares
in results and histories.

*Got through* is what the attacker achieved; *at most* is what the settings allow. A row holds if no more than that got
through, and if everything else still worked: the owner can sign in, others are served, and the worker is alive. "S9"
and the like are rows of [security.md](security.md).

| attack | tried | tries | got through | at most | bound | holds |
|---|---|---|---|---|---|---|
"""


def write(findings: list[Finding], scale: str, data: Path = DATA, document: Path = DOCUMENT) -> None:
    """Merge findings into those of earlier runs, and rewrite the page."""
    stored: dict[str, Any] = json.loads(data.read_text()) if data.exists() else {}
    run = {"on": datetime.now(UTC).date().isoformat(), "scale": scale, "versions": versions()}
    stored |= {finding.name: {**run, **finding.as_json()} for finding in findings}
    stored = {name: stored[name] for name in NAMES if name in stored}

    data.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")
    document.write_text(rendered(stored))


def rendered(stored: dict[str, Any]) -> str:
    """Return the page, from the findings in ``docs/redteam.json``."""
    lines = [row for name, finding in stored.items() for row in _rows(name, finding)]
    lines.append("")

    problems = [f"* {name}: {text}" for name, finding in stored.items() for text in finding["trouble"]]
    if problems:
        lines += [*problems, ""]

    short = [name for name, finding in stored.items() if finding["scale"] == "short"]
    if short:
        lines += [f"Run at the small scale of `make test`: {', '.join(short)}.", ""]

    lines += runs(stored)

    return _HEAD + "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Format a number for people."""
    return f"{value:,.0f}" if value == int(value) else f"{value:.1e}"


def _rows(name: str, finding: dict[str, Any]) -> Iterator[str]:
    attack = f"{name} ({finding['why']})"
    for count in finding["counts"]:
        cells = (
            attack,
            count["tried"],
            f"{count['tries']:,}",
            f"{number(count['through'])} {count['what']}",
            number(count["at_most"]),
            count["bound"],
            "yes" if count["holds"] and not finding["trouble"] else "**no**",
        )
        yield "| " + " | ".join(cells) + " |"

    if not finding["counts"]:
        yield f"| {attack} | – | – | the attack failed to run | – | – | **no** |"
