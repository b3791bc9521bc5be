"""What the dashboard shows: rows of panels, each with what it is for and the queries that fill it."""

from dataclasses import dataclass
from typing import Final

_EVERY: Final = "$__rate_interval"
_QUANTILES: Final = (0.5, 0.95, 0.99)
_REQUESTS: Final = 'topic=~"(.*\\\\.)?signin\\\\.requested",outcome="applied"'


@dataclass(frozen=True)
class Query:
    """A query of Prometheus, with how its lines are called."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One picture. ``unit`` is Grafana's name for it; ``limit`` is where an alert begins."""

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


def _of(metric: str, matchers: str = "") -> str:
    """Return the selector of a metric of the workers that are looked at."""
    own = 'job="signin-worker",instance=~"$instance"'
    return f"{metric}{{{own}{',' if matchers else ''}{matchers}}}"


def _rate(metric: str, by: str = "", matchers: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({_of(metric, matchers)}[{_EVERY}]))"


def _quantile(quantile: float, metric: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({quantile}, {_rate(f'{metric}_bucket', labels)})"


def _quantiles(metric: str) -> tuple[Query, ...]:
    return tuple(Query(_quantile(each, metric), f"p{each * 100:g}") for each in _QUANTILES)


_PEOPLE: Final = Row(
    "People",
    (
        Panel(
            "Sign-ins",
            "Requests that were taken, mails that were accepted, and people who got in.",
            "ops",
            (
                Query(_rate("signin_consumer_records_total", matchers=_REQUESTS), "requests"),
                Query(_rate("signin_results_total", matchers='type="signin.code_sent"'), "codes sent"),
                Query(_rate("signin_results_total", matchers='type="signin.succeeded"'), "succeeded"),
            ),
        ),
        Panel(
            "Sign-ins per mail",
            "How many mails lead to a sign-in. When it falls, mails do not arrive, or somebody sends them to others.",
            "percentunit",
            (
                Query(
                    _rate("signin_results_total", matchers='type="signin.succeeded"')
                    + " / "
                    + _rate("signin_results_total", matchers='type="signin.code_sent"'),
                    "succeeded of sent",
                ),
            ),
        ),
        Panel(
            "Alerts",
            "Which alerts fire; docs/runbook.md says what to do.",
            "short",
            (Query('sum by (alertname) (ALERTS{alertname=~"Signin.+",alertstate="firing"})', "{{alertname}}"),),
        ),
        Panel(
            "From request to mail",
            "From the request until the mail server accepted the mail: what people wait, but for the mail's own way.",
            "s",
            _quantiles("signin_request_to_mail_seconds"),
            limit=10,
        ),
        Panel(
            "From code to verdict",
            "From the submission until Kafka has its result.",
            "s",
            _quantiles("signin_submit_to_result_seconds"),
        ),
        Panel(
            "Turned away",
            "Results that are no success, by reason.",
            "ops",
            (
                Query(
                    _rate("signin_results_total", "type, reason", 'reason!=""') + " > 0",
                    "{{type}} {{reason}}",
                ),
            ),
        ),
    ),
)

_KAFKA: Final = Row(
    "Events",
    (
        Panel(
            "Age of the oldest event",
            "How long the oldest event of any partition has waited. After 300 s requests are stale.",
            "s",
            (Query(f"max by (topic) ({_of('signin_consumer_oldest_unfinished_age_seconds')})", "{{topic}}"),),
            limit=30,
        ),
        Panel(
            "Lag",
            "Events that are not done.",
            "short",
            (Query(f"sum by (topic) ({_of('signin_consumer_lag_records')})", "{{topic}}"),),
        ),
        Panel(
            "Head of the line",
            "How long the record has been in work that holds its partition back.",
            "s",
            (Query(f"max by (topic) ({_of('signin_consumer_head_of_line_seconds')})", "{{topic}}"),),
            limit=60,
        ),
        Panel(
            "Records by outcome",
            "Each record once, when it is done.",
            "ops",
            (Query(_rate("signin_consumer_records_total", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "Dead letters",
            "Records that can never be applied.",
            "ops",
            (Query(_rate("signin_consumer_records_total", "topic", 'outcome="dead_lettered"'), "{{topic}}"),),
        ),
        Panel(
            "Calls made again",
            "Why calls to Temporal are made again.",
            "ops",
            (Query(_rate("signin_consumer_postponed_total", "reason"), "{{reason}}"),),
        ),
        Panel(
            "In flight, and the limit",
            "Records in flight, and calls to Temporal that may be under way at once: the limit adapts to the server.",
            "short",
            (
                Query(f"sum({_of('signin_consumer_in_flight')})", "in flight"),
                Query(f"sum({_of('signin_consumer_limit')})", "limit"),
            ),
        ),
        Panel(
            "Consumers that stand still",
            "Breakers that are open: Temporal does not answer, or there are too many dead letters.",
            "short",
            (Query(_of("signin_consumer_breaker_open"), "{{instance}}"),),
            limit=1,
        ),
        Panel(
            "Rebalances and rebuilds",
            "Assignments of partitions, and consumers that had stalled and were replaced, since the start.",
            "short",
            (
                Query(f"sum({_of('signin_consumer_rebalances_total')})", "rebalances"),
                Query(f"sum({_of('signin_consumer_rebuilds_total')})", "rebuilds"),
            ),
        ),
    ),
)

_STEPS: Final = Row(
    "Mails and steps",
    (
        Panel(
            "Mails by outcome",
            "Tries to send a mail.",
            "ops",
            (Query(_rate("signin_mails_total", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "How long steps take",
            "95th percentile of each activity.",
            "s",
            (Query(_quantile(0.95, "signin_activity_seconds", "activity"), "{{activity}}"),),
        ),
        Panel(
            "Steps by outcome",
            "All activities: done, refused for good, unavailable for now, cancelled, or a bug.",
            "ops",
            (Query(_rate("signin_activity_seconds_count", "outcome"), "{{outcome}}"),),
        ),
    ),
)

_TEMPORAL: Final = Row(
    "Temporal, as its SDK sees it",
    (
        Panel(
            "Workflow tasks wait",
            "95th percentile from when a task is there until a worker has it: too few workers, or a slow server.",
            "s",
            (
                Query(
                    _quantile(0.95, "temporal_workflow_task_schedule_to_start_latency_seconds", "task_queue"),
                    "{{task_queue}}",
                ),
            ),
        ),
        Panel(
            "Workflow tasks take",
            "95th percentile of the time that a worker spends on a task.",
            "s",
            (
                Query(
                    _quantile(0.95, "temporal_workflow_task_execution_latency_seconds", "workflow_type"),
                    "{{workflow_type}}",
                ),
            ),
        ),
        Panel(
            "Workflow tasks that fail",
            "A bug, a history that this release does not replay, or a missing key.",
            "ops",
            (
                Query(
                    _rate("temporal_workflow_task_execution_failed_total", "workflow_type, failure_reason")
                    + " or on () vector(0)",
                    "{{workflow_type}} {{failure_reason}}",
                ),
            ),
        ),
        Panel(
            "Calls by operation",
            "Calls to Temporal, polls aside.",
            "ops",
            (Query(_rate("temporal_request_total", "operation"), "{{operation}}"),),
        ),
        Panel(
            "Calls that fail",
            "By operation and gRPC status. ALREADY_EXISTS is an event that was delivered again.",
            "ops",
            (
                Query(
                    _rate("temporal_request_failure_total", "operation, status_code") + " or on () vector(0)",
                    "{{operation}} {{status_code}}",
                ),
            ),
        ),
        Panel(
            "Slots and cached workflows",
            "Work that workers have in hand, and workflows that they need not replay.",
            "short",
            (
                Query(f"sum by (worker_type) ({_of('temporal_worker_task_slots_used')})", "{{worker_type}}"),
                Query(f"sum({_of('temporal_sticky_cache_size')})", "cached workflows"),
            ),
        ),
    ),
)

_PROCESSES: Final = Row(
    "Processes",
    (
        Panel("Workers", "Workers that answer.", "short", (Query(f"sum({_of('up')})", "up"),)),
        Panel(
            "CPU",
            "Cores in use by each worker.",
            "short",
            (Query(f"rate({_of('process_cpu_seconds_total')}[{_EVERY}])", "{{instance}}"),),
        ),
        Panel(
            "Memory",
            "Resident memory of each worker.",
            "bytes",
            (Query(_of("process_resident_memory_bytes"), "{{instance}}"),),
        ),
    ),
)

ROWS: Final = (_PEOPLE, _KAFKA, _STEPS, _TEMPORAL, _PROCESSES)
PANELS: Final = tuple(panel for row in ROWS for panel in row.panels)
INSTANCES: Final = 'up{job="signin-worker"}'
"""What the choice of instances is filled from."""
