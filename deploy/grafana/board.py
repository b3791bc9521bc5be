"""The dashboard as JSON, in Grafana's model."""

import json
from typing import Any, Final

from deploy.grafana.panels import INSTANCES, ROWS
from deploy.grafana.queries import Panel
from deploy.local.places import PROJECT

FILE: Final = PROJECT / "deploy" / "grafana" / "signin-worker.json"
UID: Final = "signin-worker"
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS: Final = 3
_PANEL_WIDTH: Final = 8
_PANEL_HEIGHT: Final = 8
_QUERY_IDS: Final = "ABCDEFGH"


def rendered() -> str:
    """Return the text of the file."""
    return json.dumps(_board(), indent=1, ensure_ascii=False) + "\n"


def _board() -> dict[str, Any]:
    header = {
        "uid": UID,
        "title": "signin-worker",
        "description": "Written by python -m deploy.grafana from deploy/grafana/panels.py: change it there.",
        "tags": ["signin-worker"],
        "schemaVersion": 39,
        "version": 1,
    }
    behaviour = {
        "editable": False,
        "graphTooltip": 1,  # one crosshair through all panels
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
    }

    variables = {"list": [_datasource_variable(), _instance_variable()]}
    return {**header, **behaviour, "templating": variables, "panels": _panels()}


def _datasource_variable() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
    }


def _instance_variable() -> dict[str, Any]:
    query = f"label_values({INSTANCES}, instance)"
    selection = {
        "refresh": 2,  # with the time range, because workers come and go
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "sort": 1,
    }

    return {
        "name": "instance",
        "label": "Worker",
        "type": "query",
        "datasource": _DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": "instances"},
        **selection,
    }


def _panels() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    y = 0

    for row in ROWS:
        panels.append(_row(row.title, y, len(panels) + 1))
        y += 1

        for number, panel in enumerate(row.panels):
            line, column = divmod(number, _COLUMNS)
            x = column * _PANEL_WIDTH
            place = {"x": x, "y": y + line * _PANEL_HEIGHT, "w": _PANEL_WIDTH, "h": _PANEL_HEIGHT}
            panels.append(_graph(panel, place, len(panels) + 1))

        lines = -(-len(row.panels) // _COLUMNS)
        y += lines * _PANEL_HEIGHT

    return panels


def _row(title: str, y: int, number: int) -> dict[str, Any]:
    place = {"x": 0, "y": y, "w": 24, "h": 1}
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": place,
        "panels": [],
    }


def _graph(panel: Panel, place: dict[str, int], number: int) -> dict[str, Any]:
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }

    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "gridPos": place,
        "datasource": _DATASOURCE,
        "fieldConfig": {"defaults": _field_defaults(panel), "overrides": []},
        "options": options,
        "targets": _targets(panel),
    }


def _targets(panel: Panel) -> list[dict[str, Any]]:
    return [
        {
            "refId": query_id,
            "datasource": _DATASOURCE,
            "expr": query.expression,
            "legendFormat": query.legend,
            "range": True,
        }
        for query_id, query in zip(_QUERY_IDS, panel.queries, strict=False)
    ]


def _field_defaults(panel: Panel) -> dict[str, Any]:
    """Return unit and style. A dashed line marks the value at which an alert fires."""
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    style: dict[str, Any] = {
        "lineWidth": 1,
        "fillOpacity": 10,
        "showPoints": "never",
        "spanNulls": False,
    }

    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
        style["thresholdsStyle"] = {"mode": "dashed"}

    thresholds = {"mode": "absolute", "steps": steps}
    return {"unit": panel.unit, "min": 0, "custom": style, "thresholds": thresholds}
