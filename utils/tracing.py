"""OpenTelemetry traces: one trace leads from a request to its results (docs/adr/0016).

OpenTelemetry's own variables switch tracing on; otherwise this module is not imported. A
span says where time went, never who signed in: it holds names, numbers, ids and classes of
errors, and nothing else.

Messaging conventions: https://opentelemetry.io/docs/specs/semconv/messaging/kafka/
"""

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer, get_current_span
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

Attributes = dict[str, str | int]

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_TRACEPARENT: Final = "traceparent"
_CLOSE_TIMEOUT_S: Final = 2.0


def http_exporter() -> SpanExporter:
    """Return an exporter of OTLP over HTTP, which OpenTelemetry's variables configure."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def grpc_exporter() -> SpanExporter:
    """Return an exporter of OTLP over gRPC, which OpenTelemetry's variables configure."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


class Tracing:
    """Records spans and exports them in batches. ``close`` exports the rest."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._provider = TracerProvider(resource=_resource())
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer: Tracer = self._provider.get_tracer(SERVICE)

    def traced_handler(self, handler: Handler, group_id: str) -> "TracedRecords":
        """Return ``handler`` with a span for each record."""
        return TracedRecords(handler, self.tracer, group_id)

    def traced_publisher(self, publisher: Publisher, topic: str) -> "TracedPublisher":
        """Return ``publisher`` with a span for each result."""
        return TracedPublisher(publisher, self.tracer, topic)

    def activity_interceptor(self) -> "TracedActivities":
        """Return an interceptor that adds a span to each attempt of an activity that belongs to a trace."""
        return TracedActivities(self.tracer)

    def close(self) -> None:
        """Export the rest, for two seconds at most: the collector may be away, and the worker must stop in time."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSE_TIMEOUT_S)


class TracedRecords:
    """A handler whose span continues the record's ``traceparent``.

    What the record leads to continues the span.
    """

    def __init__(self, handler: Handler, tracer: Tracer, group_id: str) -> None:
        self._handler = handler
        self._tracer = tracer
        self._group_id = group_id

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Return the handler's outcome."""
        name = f"process {delivery.record.topic}"
        content = delivery.content
        parent = None if isinstance(content, Rejected) else content.traceparent

        with _span(self._tracer, name, SpanKind.CONSUMER, parent, self._attributes(delivery)) as span:
            if not isinstance(content, Rejected):
                delivery.content = dataclasses.replace(content, traceparent=_current_traceparent())

            outcome = await self._handler(delivery)

            span.set_attribute("signin.outcome", type(outcome).__name__.lower())
            if isinstance(outcome, Rejected):
                _mark_failed(span, outcome.error)
            return outcome

    def _attributes(self, delivery: Delivery) -> Attributes:
        record = delivery.record
        return {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": self._group_id,
        }


class TracedPublisher:
    """A ``Publisher`` with spans.

    The record keeps its own ``traceparent``, because its bytes must be repeatable.
    """

    def __init__(self, publisher: Publisher, tracer: Tracer, topic: str) -> None:
        self._publisher = publisher
        self._tracer = tracer
        self._topic = topic

    async def publish(self, event: ResultEvent) -> None:
        """Publish the result."""
        name = f"send {self._topic}"
        attributes = self._attributes(event)

        with (
            _span(self._tracer, name, SpanKind.PRODUCER, event.traceparent, attributes) as span,
            _failing(span),
        ):
            await self._publisher.publish(event)

    def _attributes(self, event: ResultEvent) -> Attributes:
        attributes: Attributes = {
            "messaging.system": "kafka",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": self._topic,
            "messaging.message.id": event.event_id,
            "signin.result": event.result.type,
        }
        if reason := getattr(event.result, "reason", None):
            attributes["signin.reason"] = reason

        return attributes


class TracedActivities(Interceptor):
    """One span per attempt, in the trace of the request that it works for.

    Publications have spans of their own.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Return ``next`` with tracing around it."""
        return _TracedActivity(next, self._tracer)


class _TracedActivity(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, tracer: Tracer) -> None:
        super().__init__(next)
        self._tracer = tracer

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """Run the activity in a span."""
        task = input.args[0]
        parent = _parent(task)
        if parent is None:
            return await self.next.execute_activity(input)

        info = activity.info()
        name = f"RunActivity:{info.activity_type}"
        attributes: Attributes = {
            "temporalWorkflowID": info.workflow_id or "",
            "temporalRunID": info.workflow_run_id or "",
            "temporalActivityID": info.activity_id,
            "signin.try": info.attempt,
        }

        with (
            _span(self._tracer, name, SpanKind.INTERNAL, parent, attributes, _links(task)) as span,
            _failing(span),
        ):
            return await self.next.execute_activity(input)


def _resource() -> Resource:
    """Return what spans say of this process. OpenTelemetry's variables may name the service otherwise."""
    named = OTELResourceDetector().detect().attributes.get(SERVICE_NAME)

    return Resource.create({SERVICE_NAME: named or SERVICE})


def _parent(task: object) -> str | None:
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
    """Link the check of a code to its submission, which has a trace of its own, its emitter's."""
    if not isinstance(task, CodeToVerify) or task.submission_traceparent is None:
        return []

    submission = get_current_span(_context(task.submission_traceparent))
    return [Link(submission.get_span_context())]


def _span(
    tracer: Tracer,
    name: str,
    kind: SpanKind,
    parent: str | None,
    attributes: Attributes,
    links: Sequence[Link] = (),
) -> AbstractContextManager[Span]:
    """Start a span below ``parent``, a traceparent.

    It never records exceptions, whose texts may hold an address.
    """
    return tracer.start_as_current_span(
        name,
        _context(parent),
        kind,
        attributes,
        links,
        record_exception=False,
        set_status_on_exception=False,
    )


@contextmanager
def _failing(span: Span) -> Iterator[None]:
    """Mark the span as failed if the block raises."""
    try:
        yield
    except BaseException as error:
        declared = error.type if isinstance(error, ApplicationError) else None
        _mark_failed(span, declared or type(error).__name__)
        raise


def _mark_failed(span: Span, kind: str) -> None:
    """Mark the span as failed, with nothing but the class of the error."""
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def _context(traceparent: str | None) -> Context:
    """Return the context of a traceparent; without one, an empty context, whatever span is current."""
    carrier = {} if traceparent is None else {_TRACEPARENT: traceparent}
    return _PROPAGATOR.extract(carrier, Context())


def _current_traceparent() -> str:
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier[_TRACEPARENT]
