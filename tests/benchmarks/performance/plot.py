"""Plots a run as SVG: the CPU per sign-in of each way, stacked, and sign-ins per second beside it."""

from typing import Any, Final
from xml.sax.saxutils import escape

_PARTS: Final = (
    ("server", "Temporal server", "#4c72b0"),
    ("worker", "worker", "#dd8452"),
    ("broker", "Kafka", "#55a868"),
)
_NAMES: Final = {"floor": "floor", "ours": "ours", "usual": "the usual way"}
_LEFT = 110
_WIDTH = 440
_BAR = 34
_GAP = 22
_TOP = 60
_RIGHT = 190
_STYLE: Final = 'font-family="system-ui, sans-serif" font-size="14"'


def plotted(ways: dict[str, Any]) -> str:
    """Return the plot. Bars show medians; whiskers show the spread of the rounds' sums."""
    longest = max(_sum(way, 1) for way in ways.values())
    scale = _WIDTH / longest
    height = _TOP + len(ways) * (_BAR + _GAP) + 34
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + _RIGHT}" height="{height}" {_STYLE}>',
        '<rect width="100%" height="100%" fill="white"/>',
        _text(
            10,
            24,
            "CPU per sign-in in milliseconds; sign-ins per second on the right",
            weight="bold",
        ),
    ]

    for number, (_, label, colour) in enumerate(_PARTS):
        x = _LEFT + number * 150
        lines += [
            f'<rect x="{x}" y="36" width="12" height="12" fill="{colour}"/>',
            _text(x + 18, 47, label),
        ]

    for number, (name, way) in enumerate(ways.items()):
        lines += _bar(_TOP + number * (_BAR + _GAP), _NAMES[name], way, scale)

    return "\n".join([*lines, "</svg>"]) + "\n"


def _bar(y: int, name: str, way: dict[str, Any], scale: float) -> list[str]:
    lines = [_text(10, y + 22, name)]
    x = float(_LEFT)
    for part, _, colour in _PARTS:
        value = way["cpu_ms_per_signin"][part]["value"]
        lines.append(f'<rect x="{x:.1f}" y="{y}" width="{value * scale:.1f}" height="{_BAR}" fill="{colour}"/>')
        if value * scale > 30:
            lines.append(_text(x + 6, y + 22, f"{value:g}", colour="white"))

        x += value * scale

    low = _LEFT + _sum(way, 0) * scale
    high = _LEFT + _sum(way, 1) * scale
    middle = y + _BAR / 2
    lines.append(f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="black"/>')
    rate = way["signins_per_s"]
    shown = f"{rate['value']:g}/s ({rate['spread'][0]:g} … {rate['spread'][1]:g})"

    return [*lines, _text(_LEFT + _WIDTH + 14, y + 22, shown)]


def _sum(way: dict[str, Any], side: int) -> float:
    return sum(float(one["spread"][side]) for one in way["cpu_ms_per_signin"].values())


def _text(x: float, y: float, text: str, *, weight: str = "normal", colour: str = "black") -> str:
    return f'<text x="{x:.1f}" y="{y}" font-weight="{weight}" fill="{colour}">{escape(text)}</text>'
