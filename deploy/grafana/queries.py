"""What a panel is, and how its queries ask for the chosen workers."""

from dataclasses import dataclass
from typing import Final

RATE_INTERVAL: Final = "$__rate_interval"
_QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Query:
    """A Prometheus query, with the legend of its lines."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One graph. ``unit`` is as Grafana calls it; ``limit`` is the value at which an alert fires."""

    title: str
    about: str
    unit: str
    queries: tuple[Query, ...]
    limit: float | None = None


@dataclass(frozen=True)
class Row:
    """Panels that belong together."""

    title: str
    panels: tuple[Panel, ...]


def series(metric: str, matchers: str = "") -> str:
    """Return the selector of a metric of the chosen workers."""
    chosen = 'job="signin-worker",instance=~"$instance"'
    return f"{metric}{{{chosen}{',' if matchers else ''}{matchers}}}"


def rate(metric: str, by: str = "", matchers: str = "") -> str:
    """Return the rate of a counter, summed over the chosen workers."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({series(metric, matchers)}[{RATE_INTERVAL}]))"


def quantile(quantile: float, metric: str, by: str = "") -> str:
    """Return a quantile of a histogram of all chosen workers."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({quantile}, {rate(f'{metric}_bucket', labels)})"


def quantiles(metric: str) -> tuple[Query, ...]:
    """Return the queries of the quantiles that people look at."""
    return tuple(Query(quantile(each, metric), f"p{each * 100:g}") for each in _QUANTILES)
