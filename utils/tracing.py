"""OpenTelemetry, by its messaging conventions: one trace from a request to its results (docs/adr/0016).

Switched on by OpenTelemetry's own variables; this module is not imported otherwise. A span says where and how long,
never who: no attribute, event or status holds anything but names, numbers, ids and classes of errors.

Conventions: https://opentelemetry.io/docs/specs/semconv/messaging/kafka/
"""

import dataclasses
import os
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.ports import Publisher
from consumers.handling.dispatch import Handler
from consumers.intake import Delivery
from consumers.outcomes import Outcome, Rejected
from schemas.results import ResultEvent
from schemas.tasks import CodeToVerify, HandOver, Publication, Traced

SERVICE: Final = "signin-worker"

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_TRACEPARENT: Final = "traceparent"
_CLOSE_S: Final = 2.0


def otlp_exporter() -> SpanExporter:
    """Return the exporter that OpenTelemetry's variables ask for."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


class Tracing:
    """Makes spans, and sends them in batches. ``close`` sends what is left."""

    def __init__(self, exporter: SpanExporter, environ: Mapping[str, str] = os.environ) -> None:
        resource = Resource.create({SERVICE_NAME: environ.get("OTEL_SERVICE_NAME", SERVICE)})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer: Tracer = self._provider.get_tracer(SERVICE)

    def traced_handler(self, handler: Handler, group_id: str) -> "TracedRecords":
        """Return a handler around a handler: a span for each record."""
        return TracedRecords(handler, self.tracer, group_id)

    def traced_publisher(self, publisher: Publisher, topic: str) -> "TracedPublisher":
        """Return a publisher around a publisher: a span for each result."""
        return TracedPublisher(publisher, self.tracer, topic)

    def activity_interceptor(self) -> "TracedActivities":
        """Return an interceptor: a span for each try of an activity that belongs to a trace."""
        return TracedActivities(self.tracer)

    def close(self) -> None:
        """Send what is left, for two seconds at most: the collector may be away, and the worker must leave in time."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSE_S)


class TracedRecords:
    """A record's span goes on from its ``traceparent``; what the record leads to goes on from that span."""

    def __init__(self, handler: Handler, tracer: Tracer, group_id: str) -> None:
        self._handler = handler
        self._tracer = tracer
        self._group_id = group_id

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Return the handler's outcome."""
        record, content = delivery.record, delivery.content
        parent = None if isinstance(content, Rejected) else content.traceparent
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": self._group_id,
        }
        with self._span(f"process {record.topic}", parent, attributes) as span:
            if not isinstance(content, Rejected):
                content = dataclasses.replace(content, traceparent=_current())
                delivery.content = content
            outcome = await self._handler(delivery)
            span.set_attribute("signin.outcome", type(outcome).__name__.lower())
            if isinstance(outcome, Rejected):
                _failed(span, outcome.error)
            return outcome

    def _span(self, name: str, parent: str | None, attributes: Mapping[str, str | int]) -> AbstractContextManager[Span]:
        return self._tracer.start_as_current_span(
            name,
            _context(parent),
            SpanKind.CONSUMER,
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        )


class TracedPublisher:
    """A ``Publisher`` whose publications are spans. A record's own ``traceparent`` stays: its bytes have to repeat."""

    def __init__(self, publisher: Publisher, tracer: Tracer, topic: str) -> None:
        self._publisher = publisher
        self._tracer = tracer
        self._topic = topic

    async def publish(self, event: ResultEvent) -> None:
        """Publish the result."""
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": self._topic,
            "messaging.message.id": event.event_id,
            "signin.result": event.result.type,
        }
        if reason := getattr(event.result, "reason", None):
            attributes["signin.reason"] = reason
        with self._tracer.start_as_current_span(
            f"send {self._topic}",
            _context(event.traceparent),
            SpanKind.PRODUCER,
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                await self._publisher.publish(event)
            except BaseException as error:
                _failed(span, type(error).__name__)
                raise


class TracedActivities(Interceptor):
    """One span a try, in the trace of the attempt that it works for. A publication has spans of its own."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Return the tracing around ``next``."""
        return _TracedActivity(next, self._tracer)


class _TracedActivity(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, tracer: Tracer) -> None:
        super().__init__(next)
        self._tracer = tracer

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """Run the activity in a span."""
        task = input.args[0]
        parent = _parent_of(task)
        if parent is None:
            return await self.next.execute_activity(input)
        info = activity.info()
        attributes: dict[str, str | int] = {
            "temporalWorkflowID": info.workflow_id or "",
            "temporalRunID": info.workflow_run_id or "",
            "temporalActivityID": info.activity_id,
            "signin.try": info.attempt,
        }
        with self._tracer.start_as_current_span(
            f"RunActivity:{info.activity_type}",
            _context(parent),
            SpanKind.INTERNAL,
            attributes,
            links=_links(task),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                return await self.next.execute_activity(input)
            except BaseException as error:
                kind = error.type if isinstance(error, ApplicationError) else None
                _failed(span, kind or type(error).__name__)
                raise


def _parent_of(task: object) -> str | None:
    match task:
        case HandOver(message=message):
            return message.traceparent
        case Publication():
            return None
        case Traced(traceparent=traceparent):
            return traceparent
        case _:
            return None


def _links(task: object) -> list[Link]:
    """Point from a compare to the submission that led to it: that has a trace of its own, its emitter's."""
    if not isinstance(task, CodeToVerify) or task.submission_traceparent is None:
        return []
    return [Link(get_current_span(_context(task.submission_traceparent)).get_span_context())]


def _context(traceparent: str | None) -> Context:
    """Return the context that a ``traceparent`` names; without one an empty one, whatever is current."""
    return _PROPAGATOR.extract({} if traceparent is None else {_TRACEPARENT: traceparent}, Context())


def _current() -> str:
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier[_TRACEPARENT]


def _failed(span: Span, kind: str) -> None:
    """Mark a span as failed, by the class of its error alone."""
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))
