"""The dashboard: it is what the code says, it asks for what workers export, and it was filled as it is now."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

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
    "signin_consumer_offset",  # for looking closely; lag is what is left of it
    "signin_consumer_future_events",  # odd clocks of emitters: counted, and nothing to act on
}


def _board() -> dict[str, Any]:
    board = json.loads(FILE.read_text())
    assert isinstance(board, dict)
    return board


def _graphs() -> list[dict[str, Any]]:
    return [panel for panel in _board()["panels"] if panel["type"] != "row"]


def test_the_file_is_written_from_the_code() -> None:
    """Who changes one changes the other: ``python -m deploy.grafana`` does."""
    assert FILE.read_text() == rendered()


@pytest.mark.parametrize("expression", _EXPRESSIONS)
def test_each_query_asks_for_what_is_exported(expression: str) -> None:
    """The worker, its SDK or Prometheus itself has each metric under that name."""
    assert metrics_in(expression)
    assert unknown_metrics(expression) == set()


def test_each_label_that_is_asked_for_is_one() -> None:
    """Types and outcomes in the queries are those that the worker counts: a panel with another is empty for ever."""
    assert unknown_labels(_EXPRESSIONS) == set()


def test_each_query_is_one(promtool: str, tmp_path: Path) -> None:
    """Prometheus can read all of them."""
    rules = [{"record": f"panel:{number}", "expr": as_asked(each)} for number, each in enumerate(_EXPRESSIONS)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_the_worker_is_shown() -> None:
    """A new metric gets a panel, or a reason why not."""
    shown = {name for expression in _EXPRESSIONS for name in metrics_in(expression)}
    families = {family.name for family in Metrics().registry.collect() if family.name.startswith("signin_")}
    missing = {family for family in families if not any(name.startswith(family) for name in shown)}
    assert missing == _NOT_SHOWN


def test_panels_lie_side_by_side() -> None:
    """Each has a number and a place of its own, within the width of a page."""
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


def test_each_panel_says_what_it_is_for() -> None:
    """A title of its own, a sentence, a unit, and all of its queries, of the Prometheus that was chosen."""
    graphs = _graphs()
    assert len({graph["title"] for graph in graphs}) == len(graphs) == len(PANELS)

    for graph, panel in zip(graphs, PANELS, strict=True):
        assert graph["description"].endswith(".")
        assert graph["fieldConfig"]["defaults"]["unit"] in ("ops", "s", "percentunit", "short", "bytes")
        assert [target["expr"] for target in graph["targets"]] == [query.expression for query in panel.queries]
        assert {target["datasource"]["uid"] for target in graph["targets"]} == {"${datasource}"}
        assert len({target["refId"] for target in graph["targets"]}) == len(graph["targets"])


def test_variables_are_defined_before_they_are_used() -> None:
    """What stands behind a dollar sign is a choice of the page, or Grafana's own."""
    defined = {variable["name"] for variable in _board()["templating"]["list"]}
    assert defined == {"datasource", "instance"}
    assert all(as_asked(expression).count("$") == 0 for expression in _EXPRESSIONS)


def test_the_dashboard_was_filled_as_it_is_now() -> None:
    """The last run of ``make dashboards`` asked these very queries, each had an answer, and no alert was broken."""
    known = json.loads(_FILLED.read_text())
    assert [one["query"] for one in known["queries"]] == _EXPRESSIONS
    assert all(one["lines"] and one["points"] for one in known["queries"])
    assert known["trouble"] == []
    assert (PROJECT / "docs" / "dashboard.md").read_text() == rendered_for_people(known)


@pytest.mark.parametrize(("values", "trouble"), [([], "no answer to"), ([0.0, 0.0], "only zeros"), ([0.0, 1.0], "")])
def test_an_empty_panel_is_told(values: list[float], trouble: str) -> None:
    """No line is trouble, and zeros only are: such a panel shows nothing under the load."""
    panel = next(panel for panel in PANELS if len(panel.queries) == 1)
    answer = [Series({}, tuple(enumerate(values)))] if values else []
    found = Filled(panel, [answer]).trouble
    assert [trouble in each for each in found] == ([True] if trouble else [])
