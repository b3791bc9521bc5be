"""Prometheus: every metric of CONTRACT (metrics), and wrappers that record them.

Counters that alerts use start at 0 for each of their labels. A counter that first appears
with its first event starts at 1, and ``rate`` and ``increase`` see no step: the first dead
letter would go unnoticed.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import Any, Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities import reporting
from activities.errors import Refused
from activities.ports import CodeMail, Mailer, Publisher
from consumers.handling.observed import ALL_OUTCOMES
from consumers.metrics import ConsumerSnapshot
from consumers.ports import Clock, Partition
from schemas.results import Result, ResultEvent
from utils.prometheus_connections import ConnectionCollectors
from utils.prometheus_partitions import PartitionGauges

_MAIL_OUTCOMES: Final = ("accepted", "refused", "unavailable")
_ACTIVITY_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_WAIT_BUCKETS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600)


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.consumer = ConsumerCollectors(self.registry)
        self.partitions = PartitionGauges(self.registry)
        self.connections = ConnectionCollectors(self.registry)

        counter = partial(Counter, registry=self.registry)
        self.results = counter("signin_results", "Results published.", ("type", "reason"))
        self.mails = counter("signin_mails", "Attempts to send a mail.", ("outcome",))

        self.kafka_problems = Gauge(
            "signin_kafka_problems",
            "What an operator must repair in Kafka: missing topics, rights, a refused login, unreadable certificates.",
            registry=self.registry,
        )

        histogram = partial(Histogram, registry=self.registry)
        self.activities = histogram(
            "signin_activity_seconds",
            "Duration of activities.",
            ("activity", "outcome"),
            buckets=_ACTIVITY_BUCKETS,
        )
        self.request_to_mail = histogram(
            "signin_request_to_mail_seconds",
            "Time from a request until the mail server accepts its mail.",
            buckets=_WAIT_BUCKETS,
        )
        self.submit_to_result = histogram(
            "signin_submit_to_result_seconds",
            "Time from a submission until Kafka has its result.",
            buckets=_WAIT_BUCKETS,
        )

        self.verdicts = histogram(
            "signin_verdict_seconds",
            "Time from a submission until Kafka has its verdict; without those that wait for an unknown sign-in.",
            buckets=_WAIT_BUCKETS,
        )
        self.result_age = histogram(
            "signin_result_age_seconds",
            "Age of a result when Kafka has it: the time since it was decided.",
            buckets=_WAIT_BUCKETS,
        )

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class ConsumerCollectors:
    """The metrics of the consumer as a whole."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        self.records = counter("signin_consumer_records", "Records finished, each counted once.", ("topic", "outcome"))
        self.postponed = counter("signin_consumer_postponed", "Calls postponed, to be retried.", ("reason",))
        self.future_events = counter(
            "signin_consumer_future_events", "Events whose time lies in the future.", ("topic",)
        )
        self.replaced_logs = counter(
            "signin_consumer_replaced_logs",
            "Partitions whose log went backwards or was replaced by another.",
            ("topic",),
        )
        self.rebalances = counter("signin_consumer_rebalances", "Assignments of partitions.")
        self.rebuilds = counter("signin_consumer_rebuilds", "Consumers that stalled and were replaced.")

        gauge = partial(Gauge, registry=registry)
        self.in_flight = gauge("signin_consumer_in_flight", "Records in flight.")
        self.limit = gauge("signin_consumer_limit", "Limit of concurrent calls to Temporal; it adapts to the server.")
        self.breaker_open = gauge(
            "signin_consumer_breaker_open",
            "1 while the consumer is stopped because Temporal does not answer or because of too many dead letters.",
        )


class PrometheusConsumerMetrics:
    """Implements ``ConsumerMetrics``. Counters of ``topics`` start at 0."""

    def __init__(self, metrics: Metrics, topics: Iterable[str] = ()) -> None:
        self._consumer = metrics.consumer
        self._partitions = metrics.partitions
        self._owned: set[Partition] = set()

        for topic in topics:
            self._consumer.future_events.labels(topic=topic)
            self._consumer.replaced_logs.labels(topic=topic)
            for outcome in ALL_OUTCOMES:
                self._consumer.records.labels(topic=topic, outcome=outcome)

    def record_done(self, topic: str, outcome: str) -> None:
        """Count a finished record."""
        self._consumer.records.labels(topic=topic, outcome=outcome).inc()

    def call_postponed(self, reason: str) -> None:
        """Count a call that will be retried."""
        self._consumer.postponed.labels(reason=reason).inc()

    def limit_changed(self, limit: int) -> None:
        """Show the limit of concurrent calls."""
        self._consumer.limit.set(limit)

    def time_in_future(self, topic: str) -> None:
        """Count an event whose time lies in the future."""
        self._consumer.future_events.labels(topic=topic).inc()

    def rebalanced(self) -> None:
        """Count an assignment."""
        self._consumer.rebalances.inc()

    def log_replaced(self, topic: str) -> None:
        """Count a log that went backwards or was replaced."""
        self._consumer.replaced_logs.labels(topic=topic).inc()

    def rebuilt(self) -> None:
        """Count a consumer that stalled and was replaced."""
        self._consumer.rebuilds.inc()

    def observe(self, snapshot: ConsumerSnapshot) -> None:
        """Set all gauges. A partition that moves to another worker disappears here."""
        self._consumer.in_flight.set(snapshot.in_flight)
        self._consumer.breaker_open.set(snapshot.breaker_open)

        for position in snapshot.partitions:
            self._partitions.show(position)

        owned = {position.partition for position in snapshot.partitions}
        for partition in self._owned - owned:
            self._partitions.forget(partition)
        self._owned = owned


class MeasuredMailer:
    """A ``Mailer`` that counts its attempts and times accepted mails."""

    def __init__(self, mailer: Mailer, metrics: Metrics, clock: Clock) -> None:
        self._mailer = mailer
        self._metrics = metrics
        self._clock = clock

        for outcome in _MAIL_OUTCOMES:
            metrics.mails.labels(outcome=outcome)

    async def send(self, mail: CodeMail) -> None:
        """Send the mail and count the outcome."""
        outcome = "unavailable"

        try:
            await self._mailer.send(mail)
            outcome = "accepted"
        except Refused:
            outcome = "refused"
            raise
        finally:
            self._metrics.mails.labels(outcome=outcome).inc()

        self._metrics.request_to_mail.observe(_seconds(mail.requested_at, self._clock()))


class MeasuredPublisher:
    """A ``Publisher`` that counts results and times the answers to submissions."""

    def __init__(self, publisher: Publisher, metrics: Metrics, clock: Clock) -> None:
        self._publisher = publisher
        self._metrics = metrics
        self._clock = clock

        for kind, reason in _result_labels():
            metrics.results.labels(type=kind, reason=reason)

    async def publish(self, event: ResultEvent) -> None:
        """Publish the result and count it once Kafka has it."""
        await self._publisher.publish(event)

        result = event.result
        reason = getattr(result, "reason", "")
        now = self._clock()
        self._metrics.results.labels(type=result.type, reason=reason).inc()
        self._metrics.result_age.observe(_seconds(result.occurred_at, now))

        if event.submitted_at is not None:
            waited_s = _seconds(event.submitted_at, now)
            self._metrics.submit_to_result.observe(waited_s)
            if reason != "unknown_signin":
                self._metrics.verdicts.observe(waited_s)


class MeasuredActivities(Interceptor):
    """Times every activity by its registered name."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Return ``next`` with timing around it."""
        return _TimedActivity(next, self._metrics.activities)


class _TimedActivity(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, durations: Histogram) -> None:
        super().__init__(next)
        self._durations = durations

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """Run the activity and time it."""
        name = activity.info().activity_type
        started = perf_counter()
        outcome = "done"

        try:
            return await self.next.execute_activity(input)
        except BaseException as error:
            outcome = _failure(error)
            raise
        finally:
            duration_s = perf_counter() - started
            self._durations.labels(activity=name, outcome=outcome).observe(duration_s)


def _failure(error: BaseException) -> str:
    """Name a failure: ``refused`` is final, ``unavailable`` is temporary, ``bug`` is unexpected."""
    match error:
        case ApplicationError(non_retryable=True):
            return "refused"
        case ApplicationError(type=reporting.UNEXPECTED):
            return "bug"
        case ApplicationError():
            return "unavailable"
        case Exception():
            return "bug"
        case _:
            return "cancelled"


def _result_labels() -> Iterator[tuple[str, str]]:
    """Yield each type with each of its reasons, or with an empty reason if it has none."""
    for model in get_args(get_args(Result)[0]):
        fields = model.model_fields
        reasons = get_args(fields["reason"].annotation) if "reason" in fields else ("",)
        yield from ((fields["type"].default, reason) for reason in reasons)


def _seconds(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())
