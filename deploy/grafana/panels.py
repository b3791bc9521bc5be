"""The dashboard's panels: what each is for, and the queries that fill it."""

from typing import Final

from deploy.grafana.queries import RATE_INTERVAL, Panel, Query, Row, quantile, quantiles, rate, series
from deploy.prometheus.objectives import BUDGET_LEFT, ERRORS

_REQUESTS: Final = 'topic=~"(.*\\\\.)?signin\\\\.requested",outcome="applied"'

_PEOPLE: Final = Row(
    "People",
    (
        Panel(
            "Sign-ins",
            "Requests read, mails accepted by the mail server, and sign-ins that succeeded.",
            "ops",
            (
                Query(rate("signin_consumer_records_total", matchers=_REQUESTS), "requests"),
                Query(rate("signin_results_total", matchers='type="signin.code_sent"'), "codes sent"),
                Query(rate("signin_results_total", matchers='type="signin.succeeded"'), "succeeded"),
            ),
        ),
        Panel(
            "Sign-ins per mail",
            "Mails that lead to a sign-in. The share drops if mails get lost or somebody requests them for others.",
            "percentunit",
            (
                Query(
                    rate("signin_results_total", matchers='type="signin.succeeded"')
                    + " / "
                    + rate("signin_results_total", matchers='type="signin.code_sent"'),
                    "succeeded of sent",
                ),
            ),
        ),
        Panel(
            "Alerts",
            "Alerts that fire. docs/runbook.md says what to do.",
            "short",
            (Query('sum by (alertname) (ALERTS{alertname=~"Signin.+",alertstate="firing"})', "{{alertname}}"),),
        ),
        Panel(
            "From request to mail",
            "Time from the request until the mail server accepts the mail. People also wait for the mail's delivery.",
            "s",
            quantiles("signin_request_to_mail_seconds"),
            limit=10,
        ),
        Panel(
            "From code to result",
            "Time from the submission until Kafka has its result.",
            "s",
            quantiles("signin_submit_to_result_seconds"),
        ),
        Panel(
            "Rejections",
            "Results other than success, by reason.",
            "ops",
            (
                Query(
                    rate("signin_results_total", "type, reason", 'reason!=""') + " > 0",
                    "{{type}} {{reason}}",
                ),
            ),
        ),
    ),
)

_OBJECTIVES: Final = Row(
    "Objectives",
    (
        Panel(
            "Good in five minutes",
            "Share of mails within 30 s, verdicts within 2 s, and results at most 60 s old: docs/slo.md.",
            "percentunit",
            (Query(f"1 - {ERRORS}5m", "{{slo}}"),),
        ),
        Panel(
            "Good in six hours",
            "The same over six hours. The objectives are 99.5% of the mails and 99.9% of verdicts and results.",
            "percentunit",
            (Query(f"1 - {ERRORS}6h", "{{slo}}"),),
            limit=0.995,
        ),
        Panel(
            "Error budget left",
            "What is left of the bad events that 30 days may have. Below 0, the objective is missed.",
            "percentunit",
            (Query(BUDGET_LEFT, "{{slo}}"),),
        ),
    ),
)

_KAFKA: Final = Row(
    "Events",
    (
        Panel(
            "Age of the oldest event",
            "How long the oldest unfinished event has waited. After 300 s, requests are stale.",
            "s",
            (Query(f"max by (topic) ({series('signin_consumer_oldest_unfinished_age_seconds')})", "{{topic}}"),),
            limit=30,
        ),
        Panel(
            "Lag",
            "Events that are not finished.",
            "short",
            (Query(f"sum by (topic) ({series('signin_consumer_lag_records')})", "{{topic}}"),),
        ),
        Panel(
            "Head of the line",
            "How long the record that holds its partition back has been in progress.",
            "s",
            (Query(f"max by (topic) ({series('signin_consumer_head_of_line_seconds')})", "{{topic}}"),),
            limit=60,
        ),
        Panel(
            "Records by outcome",
            "Finished records, each counted once.",
            "ops",
            (Query(rate("signin_consumer_records_total", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "Dead letters",
            "Records that can never be applied.",
            "ops",
            (Query(rate("signin_consumer_records_total", "topic", 'outcome="dead_lettered"'), "{{topic}}"),),
        ),
        Panel(
            "Retried calls",
            "Calls to Temporal that are retried, by reason.",
            "ops",
            (Query(rate("signin_consumer_postponed_total", "reason"), "{{reason}}"),),
        ),
        Panel(
            "In flight, and limit",
            "Records in flight, and the limit of concurrent calls to Temporal, which adapts to the server.",
            "short",
            (
                Query(f"sum({series('signin_consumer_in_flight')})", "in flight"),
                Query(f"sum({series('signin_consumer_limit')})", "limit"),
            ),
        ),
        Panel(
            "Stopped consumers",
            "Open circuit breakers: Temporal does not answer, or there are too many dead letters.",
            "short",
            (Query(series("signin_consumer_breaker_open"), "{{instance}}"),),
            limit=1,
        ),
        Panel(
            "Rebalances and rebuilds",
            "Partition assignments, and replacements of stalled consumers, since the start.",
            "short",
            (
                Query(f"sum({series('signin_consumer_rebalances_total')})", "rebalances"),
                Query(f"sum({series('signin_consumer_rebuilds_total')})", "rebuilds"),
            ),
        ),
    ),
)

_STEPS: Final = Row(
    "Mails and activities",
    (
        Panel(
            "Mails by outcome",
            "Tries to send a mail.",
            "ops",
            (Query(rate("signin_mails_total", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "Activity duration",
            "95th percentile of the duration of each activity.",
            "s",
            (Query(quantile(0.95, "signin_activity_seconds", "activity"), "{{activity}}"),),
        ),
        Panel(
            "Activities by outcome",
            "All activities: done, permanently refused, temporarily unavailable, cancelled, or a bug.",
            "ops",
            (Query(rate("signin_activity_seconds_count", "outcome"), "{{outcome}}"),),
        ),
    ),
)

_TEMPORAL: Final = Row(
    "Temporal, as seen by its SDK",
    (
        Panel(
            "Workflow task latency",
            "95th percentile from scheduling to start. High with too few workers or a slow server.",
            "s",
            (
                Query(
                    quantile(0.95, "temporal_workflow_task_schedule_to_start_latency_seconds", "task_queue"),
                    "{{task_queue}}",
                ),
            ),
        ),
        Panel(
            "Workflow task duration",
            "95th percentile of the time that a worker spends on a workflow task.",
            "s",
            (
                Query(
                    quantile(0.95, "temporal_workflow_task_execution_latency_seconds", "workflow_type"),
                    "{{workflow_type}}",
                ),
            ),
        ),
        Panel(
            "Failed workflow tasks",
            "Caused by a bug, a history that this release cannot replay, or a missing key.",
            "ops",
            (
                Query(
                    rate("temporal_workflow_task_execution_failed_total", "workflow_type, failure_reason")
                    + " or on () vector(0)",
                    "{{workflow_type}} {{failure_reason}}",
                ),
            ),
        ),
        Panel(
            "Calls by operation",
            "Calls to Temporal, except polls.",
            "ops",
            (Query(rate("temporal_request_total", "operation"), "{{operation}}"),),
        ),
        Panel(
            "Failed calls",
            "By operation and gRPC status. ALREADY_EXISTS stands for an event that was delivered again.",
            "ops",
            (
                Query(
                    rate("temporal_request_failure_total", "operation, status_code") + " or on () vector(0)",
                    "{{operation}} {{status_code}}",
                ),
            ),
        ),
        Panel(
            "Slots and cached workflows",
            "Tasks in progress, and workflows that workers need not replay.",
            "short",
            (
                Query(f"sum by (worker_type) ({series('temporal_worker_task_slots_used')})", "{{worker_type}}"),
                Query(f"sum({series('temporal_sticky_cache_size')})", "cached workflows"),
            ),
        ),
    ),
)

_PROCESSES: Final = Row(
    "Processes",
    (
        Panel("Workers", "Workers that answer Prometheus.", "short", (Query(f"sum({series('up')})", "up"),)),
        Panel(
            "CPU",
            "Cores in use by each worker.",
            "short",
            (Query(f"rate({series('process_cpu_seconds_total')}[{RATE_INTERVAL}])", "{{instance}}"),),
        ),
        Panel(
            "Memory",
            "Resident memory of each worker.",
            "bytes",
            (Query(series("process_resident_memory_bytes"), "{{instance}}"),),
        ),
    ),
)

ROWS: Final = (_PEOPLE, _OBJECTIVES, _KAFKA, _STEPS, _TEMPORAL, _PROCESSES)
PANELS: Final = tuple(panel for row in ROWS for panel in row.panels)
INSTANCES: Final = 'up{job="signin-worker"}'
"""The series that fills the choice of instances."""
