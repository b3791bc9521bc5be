"""Prometheus: every metric of CONTRACT (metrics), and wrappers that fill them.

Counters that alerts look at begin at 0 for each of their labels. One that came up with its first event would come up
at 1, and ``rate`` and ``increase`` never see a step to a first value: the first dead letter would go unnoticed.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from time import perf_counter
from typing import Any, Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities import reporting
from activities.errors import Refused
from activities.ports import CodeMail, Mailer, Publisher
from consumers.handling.observed import OUTCOME_NAMES
from consumers.ports import Clock, ConsumerSnapshot, Partition, PartitionPosition
from schemas.results import Result, ResultEvent

_OFFSETS: Final = ("end", "watermark", "committed")
_MAIL_OUTCOMES: Final = ("accepted", "refused", "unavailable")
_ACTIVITY_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_WAIT_BUCKETS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600)


class Metrics:
    """The registry of one process and what is in it."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        partition = ("topic", "partition")
        self.lag = Gauge(
            "signin_consumer_lag_records", "End of the partition minus the watermark.", partition, registry=registry
        )
        self.oldest_age = Gauge(
            "signin_consumer_oldest_unfinished_age_seconds",
            "Age of the oldest record that is not done.",
            partition,
            registry=registry,
        )
        self.head_of_line = Gauge(
            "signin_consumer_head_of_line_seconds",
            "How long the lowest record that is not done has been in work here.",
            partition,
            registry=registry,
        )
        self.records = Counter(
            "signin_consumer_records", "Records done, each once.", ("topic", "outcome"), registry=registry
        )
        self.offsets = Gauge(
            "signin_consumer_offset",
            "End of the partition, watermark (the next to commit) and what is committed.",
            (*partition, "kind"),
            registry=registry,
        )
        self.postponed = Counter(
            "signin_consumer_postponed", "Calls that will be made again.", ("reason",), registry=registry
        )
        self.future = Counter(
            "signin_consumer_future_events", "Events whose time lies ahead.", ("topic",), registry=registry
        )
        self.rebalances = Counter("signin_consumer_rebalances", "Assignments of partitions.", registry=registry)
        self.rebuilds = Counter(
            "signin_consumer_rebuilds", "Consumers that stalled and were replaced.", registry=registry
        )
        self.in_flight = Gauge("signin_consumer_in_flight", "Records in flight.", registry=registry)
        self.limit = Gauge(
            "signin_consumer_limit", "Calls to Temporal that may be under way: adapts to the server.", registry=registry
        )
        self.breaker_open = Gauge(
            "signin_consumer_breaker_open",
            "1 while no answer from Temporal, or too many dead letters, stop the consumer.",
            registry=registry,
        )
        self.results = Counter("signin_results", "Results published.", ("type", "reason"), registry=registry)
        self.mails = Counter("signin_mails", "Tries to send a mail.", ("outcome",), registry=registry)
        self.activities = Histogram(
            "signin_activity_seconds",
            "Duration of activities.",
            ("activity", "outcome"),
            buckets=_ACTIVITY_BUCKETS,
            registry=registry,
        )
        self.request_to_mail = Histogram(
            "signin_request_to_mail_seconds",
            "From the request until the mail server accepted its mail.",
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self.submit_to_result = Histogram(
            "signin_submit_to_result_seconds",
            "From the submission until Kafka has its result.",
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )

    def exposition(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self.registry)


class PrometheusConsumerMetrics:
    """Fulfils ``ConsumerMetrics``. ``topics`` are those whose records are counted."""

    def __init__(self, metrics: Metrics, topics: Iterable[str] = ()) -> None:
        self._metrics = metrics
        self._owned: set[Partition] = set()
        for topic in topics:
            metrics.future.labels(topic=topic)
            for outcome in OUTCOME_NAMES.values():
                metrics.records.labels(topic=topic, outcome=outcome)

    def record_done(self, topic: str, outcome: str) -> None:
        """Count a record that is done."""
        self._metrics.records.labels(topic=topic, outcome=outcome).inc()

    def call_postponed(self, reason: str) -> None:
        """Count a call that will be made again."""
        self._metrics.postponed.labels(reason=reason).inc()

    def limit_changed(self, limit: int) -> None:
        """Show how many calls may be under way."""
        self._metrics.limit.set(limit)

    def time_in_future(self, topic: str) -> None:
        """Count an event whose time lies ahead."""
        self._metrics.future.labels(topic=topic).inc()

    def rebalanced(self) -> None:
        """Count an assignment."""
        self._metrics.rebalances.inc()

    def rebuilt(self) -> None:
        """Count a consumer that stalled and was replaced."""
        self._metrics.rebuilds.inc()

    def observe(self, snapshot: ConsumerSnapshot) -> None:
        """Take the gauges of now. Partitions that another worker has are shown by that one only."""
        self._metrics.in_flight.set(snapshot.in_flight)
        self._metrics.breaker_open.set(snapshot.breaker_open)
        for position in snapshot.partitions:
            self._show(position)
        owned = {position.partition for position in snapshot.partitions}
        for partition in self._owned - owned:
            self._forget(partition)
        self._owned = owned

    def _show(self, position: PartitionPosition) -> None:
        labels = _labels(position.partition)
        self._metrics.oldest_age.labels(**labels).set(position.oldest_unfinished_age_s)
        self._metrics.head_of_line.labels(**labels).set(position.head_of_line_s)
        if position.lag is not None:
            self._metrics.lag.labels(**labels).set(position.lag)
        for kind in _OFFSETS:
            offset = getattr(position, kind)
            if offset is not None:
                self._metrics.offsets.labels(**labels, kind=kind).set(offset)

    def _forget(self, partition: Partition) -> None:
        labels = _labels(partition)
        metrics = self._metrics
        for gauge in (metrics.lag, metrics.oldest_age, metrics.head_of_line, metrics.offsets):
            gauge.remove_by_labels(labels)


class MeasuredMailer:
    """A ``Mailer`` that counts its tries and times what it sent."""

    def __init__(self, mailer: Mailer, metrics: Metrics, clock: Clock) -> None:
        self._mailer = mailer
        self._metrics = metrics
        self._clock = clock
        for outcome in _MAIL_OUTCOMES:
            metrics.mails.labels(outcome=outcome)

    async def send(self, mail: CodeMail) -> None:
        """Send the mail and count how it went."""
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
        for kind, reason in _kinds_of_results():
            metrics.results.labels(type=kind, reason=reason)

    async def publish(self, event: ResultEvent) -> None:
        """Publish the result and count it once Kafka has it."""
        await self._publisher.publish(event)
        result = event.result
        self._metrics.results.labels(type=result.type, reason=getattr(result, "reason", "")).inc()
        if event.submitted_at is not None:
            self._metrics.submit_to_result.observe(_seconds(event.submitted_at, self._clock()))


class MeasuredActivities(Interceptor):
    """Times every activity, by its registered name."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Return the stopwatch around ``next``."""
        return _Stopwatch(next, self._metrics.activities)


class _Stopwatch(ActivityInboundInterceptor):
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
            self._durations.labels(activity=name, outcome=outcome).observe(perf_counter() - started)


def _failure(error: BaseException) -> str:
    """Name the failure: ``refused`` for ever, ``unavailable`` for now, ``cancelled``, or a ``bug``."""
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


def _kinds_of_results() -> Iterator[tuple[str, str]]:
    """Yield each type with each of its reasons; the empty one where it has none."""
    for model in get_args(get_args(Result)[0]):
        fields = model.model_fields
        reasons = get_args(fields["reason"].annotation) if "reason" in fields else ("",)
        yield from ((fields["type"].default, reason) for reason in reasons)


def _labels(partition: Partition) -> dict[str, str]:
    return {"topic": partition.topic, "partition": str(partition.number)}


def _seconds(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())
