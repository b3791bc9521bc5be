"""Writes the results of a run: ``docs/dashboard.json`` for machines, ``.svg`` and ``.md`` for people."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from deploy.grafana.panels import ROWS
from deploy.local.places import PROJECT
from tests.dashboards.load import Filled, Measured
from tests.dashboards.plot import legend, plotted

FOLDER: Final = PROJECT / "docs"
_INTRODUCTION: Final = """# The dashboard

`deploy/grafana/signin-worker.json` is a dashboard for Grafana, written by `python -m deploy.grafana` from
`deploy/grafana/panels.py`. It needs a Prometheus that scrapes the workers as the job `signin-worker`. The panel of
alerts also needs the rules in `deploy/prometheus/alerts.yml`, the objectives those in `deploy/prometheus/slo.yml`.

Below are the same queries with data from a real Prometheus. `make dashboards` starts Kafka, Temporal, two workers and
Prometheus, lets people sign in, kills Temporal for a while, and makes the tasks of one workflow fail, so that every
panel has something to show. It fails if a query has no answer or a panel shows only zeros.

![The dashboard](dashboard.svg)
"""


def write(found: Measured, folder: Path = FOLDER) -> None:
    """Write the three files."""
    known = as_json(found)
    (folder / "dashboard.json").write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    (folder / "dashboard.svg").write_text(plotted(found))
    (folder / "dashboard.md").write_text(rendered(known))


def as_json(found: Measured) -> dict[str, Any]:
    """Return the run: the alerts, and each query with the number of lines and points of its answer."""
    return {
        "on": datetime.now(UTC).date().isoformat(),
        "prometheus": found.prometheus,
        "people": found.people,
        "took_s": round(found.end - found.begin),
        "temporal_away_s": round(found.away[1] - found.away[0], 1),
        "queries": [one for filled in found.filled for one in _queries(filled)],
        "alerts": _states(found.rules),
        "trouble": found.trouble,
    }


def rendered(known: dict[str, Any]) -> str:
    """Return docs/dashboard.md."""
    about = {panel.title: panel.about for row in ROWS for panel in row.panels}
    lines = [_INTRODUCTION, "| panel | query | lines | points | highest |", "|---|---|---|---|---|"]
    for one in known["queries"]:
        query = one["query"].replace("|", "\\|")
        lines.append(f"| {one['panel']} | `{query}` | {one['lines']} | {one['points']} | {one['highest']:.3g} |")

    lines += ["", *(f"* **{title}**: {text}" for title, text in about.items()), ""]
    states = [f"`{name}` {state}" for name, state in known["alerts"].items() if state != "inactive"]
    lines += [
        f"{known['people']} people in {known['took_s']} s, {known['on']}, Prometheus {known['prometheus']}.",
        f"All {len(known['alerts'])} alerts were evaluated; active at the end: {', '.join(states) or 'none'}.",
    ]

    return "\n".join(lines) + "\n"


def _states(rules: list[dict[str, Any]]) -> dict[str, str]:
    """Return the state of each alert. An alert with two severities has the state that is worse."""
    order = ("inactive", "pending", "firing")
    found: dict[str, str] = {}
    for rule in rules:
        if rule["type"] == "alerting":
            found[rule["name"]] = max(found.get(rule["name"], order[0]), rule["state"], key=order.index)
    return found


def _queries(filled: Filled) -> list[dict[str, Any]]:
    return [
        {
            "panel": filled.panel.title,
            "query": query.expression,
            "lines": len(answer),
            "points": sum(len(series.points) for series in answer),
            "highest": round(max((series.highest for series in answer), default=0), 6),
            "names": sorted({legend(query, series) for series in answer}),
        }
        for query, answer in zip(filled.panel.queries, filled.answers, strict=True)
    ]
