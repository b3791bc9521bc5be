"""The dashboard as Grafana's JSON model of dashboards."""

import json
from typing import Any, Final

from deploy.grafana.panels import INSTANCES, ROWS, Panel
from deploy.local.places import PROJECT

FILE: Final = PROJECT / "deploy" / "grafana" / "signin-worker.json"
UID: Final = "signin-worker"
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS, _WIDTH, _HEIGHT = 3, 8, 8
_LETTERS: Final = "ABCDEFGH"


def rendered() -> str:
    """Return the file's text."""
    return json.dumps(_board(), indent=1, ensure_ascii=False) + "\n"


def _board() -> dict[str, Any]:
    return {
        "uid": UID,
        "title": "signin-worker",
        "description": "Written by python -m deploy.grafana from deploy/grafana/panels.py: change it there.",
        "tags": ["signin-worker"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,  # one crosshair through all panels
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_choice_of_source(), _choice_of_instances()]},
        "panels": _panels(),
    }


def _choice_of_source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}


def _choice_of_instances() -> dict[str, Any]:
    query = f"label_values({INSTANCES}, instance)"
    return {
        "name": "instance",
        "label": "Worker",
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "instances"},
        "refresh": 2,  # with the time range, for workers come and go
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "sort": 1,
    }


def _panels() -> list[dict[str, Any]]:
    found, y = list[dict[str, Any]](), 0
    for row in ROWS:
        found.append(_row(row.title, y, len(found) + 1))
        y += 1
        for number, panel in enumerate(row.panels):
            x = number % _COLUMNS * _WIDTH
            place = {"x": x, "y": y + number // _COLUMNS * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            found.append(_graph(panel, place, len(found) + 1))
        y += -(-len(row.panels) // _COLUMNS) * _HEIGHT
    return found


def _row(title: str, y: int, number: int) -> dict[str, Any]:
    place = {"x": 0, "y": y, "w": 24, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _graph(panel: Panel, place: dict[str, int], number: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "gridPos": place,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": _look(panel), "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {
                "refId": letter,
                "datasource": _SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
                "range": True,
            }
            for letter, query in zip(_LETTERS, panel.queries, strict=False)
        ],
    }


def _look(panel: Panel) -> dict[str, Any]:
    """Return unit and lines; where an alert begins, a line is drawn."""
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    custom: dict[str, Any] = {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": False}
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
        custom["thresholdsStyle"] = {"mode": "dashed"}
    return {"unit": panel.unit, "min": 0, "custom": custom, "thresholds": {"mode": "absolute", "steps": steps}}
