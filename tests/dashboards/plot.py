"""The dashboard of a run as an SVG picture, with the panels and lines that Grafana draws."""

import re
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from deploy.grafana.panels import ROWS
from deploy.grafana.queries import Query
from tests.dashboards.load import Filled, Measured
from tests.dashboards.prometheus_server import Series

_COLUMNS = 3
_WIDTH = 400
_HEIGHT = 222
_GAP = 12
_HEAD = 40
_ROW = 34
_LEFT = 46
_TITLE_HEIGHT = 34
_PLOT_HEIGHT = 118
_LEGEND_LINE = 14
_MAX_LEGENDS = 4
_MAX_LEGEND_LENGTH = 25
_COLOURS: Final = ("#2f7ed8", "#d9822b", "#2a9d5c", "#b0397c", "#6b6ecf", "#8c6d31", "#d6616b", "#17becf")
_STYLE: Final = 'font-family="system-ui, sans-serif" font-size="11"'
_RUN: Final = re.compile(r"\bfaults-[0-9a-f]{12}\.")
_PORT: Final = re.compile(r"127\.0\.0\.1:\d+")
_UNITS: Final = {"ops": "/s", "s": " s", "percentunit": "", "short": "", "bytes": " B"}


def plotted(found: Measured) -> str:
    """Return the picture of a run."""
    by_title = {filled.panel.title: filled for filled in found.filled}
    lines: list[str] = []
    y = float(_HEAD)
    for row in ROWS:
        lines.append(_text(_GAP, y + 20, row.title, "bold", 14))
        y += _ROW
        for number, panel in enumerate(row.panels):
            x = _GAP + number % _COLUMNS * (_WIDTH + _GAP)
            lines += _cell(by_title[panel.title], found, x, y + number // _COLUMNS * (_HEIGHT + _GAP))

        y += -(-len(row.panels) // _COLUMNS) * (_HEIGHT + _GAP)

    width = _GAP + _COLUMNS * (_WIDTH + _GAP)
    head = f"{found.people} people, two workers, {_length(found)} s; Temporal is down where the plot is grey"

    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y:.0f}" {_STYLE}>',
            '<rect width="100%" height="100%" fill="#f4f5f7"/>',
            _text(_GAP, 26, head, "bold", 15),
            *lines,
            "</svg>",
            "",
        ]
    )


def legend(query: Query, series: Series) -> str:
    """Return the legend of a line with its labels filled in, as Grafana does, and without names of this run."""
    text = re.sub(r"\{\{(\w+)\}\}", lambda match: series.labels.get(match[1], ""), query.legend).strip()
    return _PORT.sub("worker", _RUN.sub("", text)) or "none"


def _cell(filled: Filled, found: Measured, x: float, y: float) -> list[str]:
    panel = filled.panel
    top = y + _TITLE_HEIGHT
    right = x + _WIDTH - 10
    highest = max([series.highest for series in filled.series], default=0) or 1
    lines = [f'<rect x="{x}" y="{y:.0f}" width="{_WIDTH}" height="{_HEIGHT}" fill="white" stroke="#dcdfe4"/>']
    lines.append(_text(x + 10, y + 20, panel.title, "bold", 12))
    lines.append(_away(found, x + _LEFT, right, top))
    lines.append(_axis(x + _LEFT, right, top))
    lines.append(_text(x + 4, top + 9, _number(highest, panel.unit)))
    lines.append(_text(x + 4, top + _PLOT_HEIGHT, "0"))
    named = [(legend(query, one), one) for query, answer in zip(panel.queries, filled.answers) for one in answer]
    for number, (name, series) in enumerate(named):
        colour = _COLOURS[number % len(_COLOURS)]
        lines.append(_line(series, found, (x + _LEFT, right, top), highest, colour))

    return lines + _legends([name for name, _ in named], x + _LEFT, top + _PLOT_HEIGHT + 18)


def _line(series: Series, found: Measured, place: tuple[float, float, float], highest: float, colour: str) -> str:
    left, right, top = place
    scale = (right - left) / (found.end - found.begin)
    path = ""
    last = 0.0

    for time, value in series.points:
        pen = "L" if path and time - last < 1.5 else "M"  # a gap stays a gap
        path += f"{pen}{left + (time - found.begin) * scale:.0f} {top + _PLOT_HEIGHT * (1 - value / highest):.1f}"
        last = time

    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.3"/>'


def _away(found: Measured, left: float, right: float, top: float) -> str:
    scale = (right - left) / (found.end - found.begin)
    begin, end = (left + (time - found.begin) * scale for time in found.away)
    return f'<rect x="{begin:.0f}" y="{top:.0f}" width="{end - begin:.0f}" height="{_PLOT_HEIGHT}" fill="#e4e6ea"/>'


def _axis(left: float, right: float, top: float) -> str:
    bottom = top + _PLOT_HEIGHT
    return f'<path d="M{left} {top:.0f}V{bottom:.0f}H{right}" fill="none" stroke="#9aa1ab"/>'


def _legends(names: Sequence[str], x: float, y: float) -> list[str]:
    """Return the first names in two columns, and the number of lines if there are more."""
    shown = list(names[: 2 * _MAX_LEGENDS])
    lines: list[str] = []

    for number, name in enumerate(shown):
        place_x = x + number % 2 * 176
        place_y = y + number // 2 * _LEGEND_LINE
        lines.append(f'<rect x="{place_x}" y="{place_y - 8:.0f}" width="8" height="8" fill="{_COLOURS[number % 8]}"/>')
        text = name if len(name) <= _MAX_LEGEND_LENGTH else name[: _MAX_LEGEND_LENGTH - 1] + "…"
        lines.append(_text(place_x + 12, place_y, text))

    if len(names) > len(shown):
        lines.append(_text(x + 290, y - 18 - _PLOT_HEIGHT - 12, f"{len(names)} lines"))

    return lines


def _number(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 1_000_000:.0f} MB"
    return f"{value:.2g}{_UNITS[unit]}" if value < 100 else f"{value:.0f}{_UNITS[unit]}"


def _length(found: Measured) -> str:
    return f"{found.end - found.begin:.0f}"


def _text(x: float, y: float, text: str, weight: str = "normal", size: int = 11) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-weight="{weight}" font-size="{size}">{escape(text)}</text>'
