"""The dashboard as JSON, built with Grafana's own library: what Grafana's schema does not know, mypy refuses."""

import json
from typing import Final

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard

from deploy.grafana.panels import INSTANCES, ROWS
from deploy.grafana.queries import Panel
from deploy.local.places import PROJECT

FILE: Final = PROJECT / "deploy" / "grafana" / "signin-worker.json"
UID: Final = "signin-worker"
_DATASOURCE: Final = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
_COLUMNS: Final = 3
_PANEL_WIDTH: Final = 8
_PANEL_HEIGHT: Final = 8
_QUERY_IDS: Final = "ABCDEFGH"


def rendered() -> str:
    """Return the text of the file."""
    return json.dumps(_board(), cls=JSONEncoder, indent=1, ensure_ascii=False) + "\n"


def _board() -> dashboard.Dashboard:
    board = (
        builders.Dashboard("signin-worker")
        .uid(UID)
        .description("Written by python -m deploy.grafana from deploy/grafana/panels.py: change it there.")
        .tags(["signin-worker"])
        .version(1)
        .readonly()
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)  # one crosshair through all panels
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .with_variable(builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_instance_variable())
    )

    _add_panels(board)
    return board.build()


def _instance_variable() -> builders.QueryVariable:
    query = f"label_values({INSTANCES}, instance)"
    return (
        builders.QueryVariable("instance")
        .label("Worker")
        .datasource(_DATASOURCE)
        .query({"query": query, "refId": "instances"})
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)  # because workers come and go
        .include_all(True)
        .all_value(".*")
        .multi(True)
        .current(dashboard.VariableOption(text=["All"], value=["$__all"]))
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )


def _add_panels(board: builders.Dashboard) -> None:
    number = 0
    y = 0

    for row in ROWS:
        number += 1
        place = dashboard.GridPos(x=0, y=y, w=24, h=1)
        board.with_row(builders.Row(row.title).id(number).grid_pos(place))
        y += 1

        for index, panel in enumerate(row.panels):
            number += 1
            line, column = divmod(index, _COLUMNS)
            x = column * _PANEL_WIDTH
            place = dashboard.GridPos(x=x, y=y + line * _PANEL_HEIGHT, w=_PANEL_WIDTH, h=_PANEL_HEIGHT)
            board.with_panel(_graph(panel).id(number).grid_pos(place))

        lines = -(-len(row.panels) // _COLUMNS)
        y += lines * _PANEL_HEIGHT


def _graph(panel: Panel) -> timeseries.Panel:
    legend = (
        common_builders.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    tooltip = (
        common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    )

    graph = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.about)
        .datasource(_DATASOURCE)
        .unit(panel.unit)
        .min(0)
        .line_width(1)
        .fill_opacity(10)
        .show_points(common.VisibilityMode.NEVER)
        .span_nulls(False)
        .legend(legend)
        .tooltip(tooltip)
        .thresholds(_thresholds(panel.limit))
    )
    if panel.limit is not None:
        dashed = common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        graph.thresholds_style(dashed)

    for query_id, query in zip(_QUERY_IDS, panel.queries, strict=False):
        graph.with_target(
            prometheus.Dataquery()
            .ref_id(query_id)
            .datasource(_DATASOURCE)
            .expr(query.expression)
            .legend_format(query.legend)
            .range()
        )
    return graph


def _thresholds(limit: float | None) -> builders.ThresholdsConfig:
    """Return the line that marks the value at which an alert fires."""
    steps = [dashboard.Threshold(color="green", value=None)]
    if limit is not None:
        steps.append(dashboard.Threshold(color="red", value=limit))

    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)
