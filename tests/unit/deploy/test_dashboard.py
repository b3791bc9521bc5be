"""The dashboard is written from the code, uses exported metrics, and was filled in its present form."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.board import FILE, rendered
from deploy.grafana.panels import PANELS
from deploy.local.places import PROJECT
from tests.dashboards.exported import metrics_in, unknown_labels, unknown_metrics
from tests.dashboards.load import Filled, as_asked
from tests.dashboards.prometheus_server import Series
from tests.dashboards.report import rendered as rendered_for_people
from utils.prometheus import Metrics

_FILLED: Final = PROJECT / "docs" / "dashboard.json"
_EXPRESSIONS: Final = [query.expression for panel in PANELS for query in panel.queries]
_NOT_SHOWN: Final = {
    "signin_consumer_offset",  # for close inspection; lag is derived from it
    "signin_consumer_future_events",  # counts odd clocks of emitters, which need no action
    "signin_consumer_open_transaction_seconds",  # an alert watches it; lag and age show what waits
    "signin_consumer_replaced_logs",  # an alert watches it; the log names partition and offsets
    "signin_kafka_problems",  # an alert watches it; /readyz says what the problems are
    "signin_producer_failing",  # 0 or 1, and has an alert
    "signin_producer_replaced",  # for close inspection; what matters is whether the next one delivers
    "signin_result_age_seconds",  # the objectives are recorded from it
    "signin_verdict_seconds",  # likewise
    "signin_credentials_outdated",  # 0 or 1, and has an alert
}


def _board() -> dict[str, Any]:
    board = json.loads(FILE.read_text())
    assert isinstance(board, dict)
    return board


def _graphs() -> list[dict[str, Any]]:
    return [panel for panel in _board()["panels"] if panel["type"] != "row"]


def test_the_file_is_written_from_the_code() -> None:
    """``python -m deploy.grafana`` was run after the last change of the code."""
    assert FILE.read_text() == rendered()


def test_grafanas_own_model_reads_the_file() -> None:
    """Read into the model of Grafana 11.6 and written again, the file has lost and gained nothing.

    No package of Grafana itself can be installed here, so its model stands in for it.
    """
    register_default_plugins()
    board = _board()
    again = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))

    assert again == board


@pytest.mark.parametrize("expression", _EXPRESSIONS)
def test_each_query_uses_exported_metrics(expression: str) -> None:
    """The worker, Temporal's SDK or Prometheus itself exports each metric that a query uses."""
    assert metrics_in(expression)
    assert unknown_metrics(expression) == set()


def test_each_query_uses_existing_labels() -> None:
    """Types and outcomes in the queries are label values that the worker uses; with others, a panel stays empty."""
    assert unknown_labels(_EXPRESSIONS) == set()


def test_promtool_accepts_the_queries(promtool: str, tmp_path: Path) -> None:
    """Prometheus can parse every query."""
    rules = [{"record": f"panel:{number}", "expr": as_asked(each)} for number, each in enumerate(_EXPRESSIONS)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_the_worker_has_a_panel() -> None:
    """Each metric of the worker is shown, or is listed with the reason why not."""
    shown = {name for expression in _EXPRESSIONS for name in metrics_in(expression)}
    families = {family.name for family in Metrics().registry.collect() if family.name.startswith("signin_")}
    missing = {family for family in families if not any(name.startswith(family) for name in shown)}
    assert missing == _NOT_SHOWN


def test_panels_do_not_overlap() -> None:
    """Each panel has its own number and place, within the width of the page."""
    panels = _board()["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)

    taken = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_each_panel_is_complete() -> None:
    """Each panel has a unique title, a description, a unit, and all of its queries to the chosen Prometheus."""
    graphs = _graphs()
    assert len({graph["title"] for graph in graphs}) == len(graphs) == len(PANELS)

    for graph, panel in zip(graphs, PANELS, strict=True):
        assert graph["description"].endswith(".")
        assert graph["fieldConfig"]["defaults"]["unit"] in ("ops", "s", "percentunit", "short", "bytes")
        assert [target["expr"] for target in graph["targets"]] == [query.expression for query in panel.queries]
        assert {target["datasource"]["uid"] for target in graph["targets"]} == {"${datasource}"}
        assert len({target["refId"] for target in graph["targets"]}) == len(graph["targets"])


def test_variables_in_queries_are_defined() -> None:
    """Each variable in a query is defined by the dashboard or by Grafana itself."""
    defined = {variable["name"] for variable in _board()["templating"]["list"]}
    assert defined == {"datasource", "instance"}
    assert all(as_asked(expression).count("$") == 0 for expression in _EXPRESSIONS)


def test_the_present_dashboard_was_filled() -> None:
    """The last run of ``make dashboards`` used the present queries, and each had an answer."""
    known = json.loads(_FILLED.read_text())
    assert [one["query"] for one in known["queries"]] == _EXPRESSIONS
    assert all(one["lines"] and one["points"] for one in known["queries"])
    assert known["trouble"] == []
    assert (PROJECT / "docs" / "dashboard.md").read_text() == rendered_for_people(known)


@pytest.mark.parametrize(("values", "trouble"), [([], "no answer to"), ([0.0, 0.0], "only zeros"), ([0.0, 1.0], "")])
def test_an_empty_panel_is_reported(values: list[float], trouble: str) -> None:
    """A panel without an answer, or with nothing but zeros, is reported."""
    panel = next(panel for panel in PANELS if len(panel.queries) == 1)
    answer = [Series({}, tuple(enumerate(values)))] if values else []
    found = Filled(panel, [answer]).trouble
    assert [trouble in each for each in found] == ([True] if trouble else [])
