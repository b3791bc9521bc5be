"""What spans contain, and above all what they do not."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from activities.errors import PublishUnavailable
from activities.pseudonyms import Pseudonyms
from consumers.decode import ReceivedRequest
from consumers.intake import Delivery, Intake
from consumers.outcomes import Applied, Outcome, Rejected
from consumers.ports import Record
from schemas.results import ResultEvent, SignInRejected
from schemas.tasks import CodeToVerify, EmailToCheck, FirstAttemptQuery, Publication
from tests.fakes.activity_calls import called
from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.fakes.inbound import REQUESTED, SUBMITTED, record, request_record
from tests.fakes.publisher import FakePublisher
from utils.tracing import Tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
OTHER = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"
SIGNIN = "s" * 22


class RecordedTracing:
    """Tracing that keeps what it exports."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = Tracing(self._exporter)

    def spans(self) -> Sequence[ReadableSpan]:
        """Close the tracing and return all spans."""
        self.tracing.close()
        return self._exporter.get_finished_spans()


@pytest.fixture
def recorded() -> Iterator[RecordedTracing]:
    """Give a tracing that keeps what it exports."""
    recorded = RecordedTracing()
    yield recorded
    recorded.tracing.close()


def delivery(one: Record) -> Delivery:
    """Decode a record."""
    intake = Intake(REQUESTED, SUBMITTED, Pseudonyms(b"k" * 32), FakeConsumerMetrics())
    return intake.receive(one)


async def handled(recorded: RecordedTracing, one: Record, outcome: Outcome) -> Delivery:
    """Handle a record with this outcome; return what the handler was given."""
    given: list[Delivery] = []

    async def handler(delivery: Delivery) -> Outcome:
        given.append(delivery)
        return outcome

    assert await recorded.tracing.traced_handler(handler, "group")(delivery(one)) == outcome

    return given[0]


async def test_a_records_span_continues_the_emitters_trace(recorded: RecordedTracing) -> None:
    """The span's parent is the emitter's span, and the span itself is handed on as the new parent."""
    handed = await handled(recorded, request_record(headers=[("traceparent", PARENT.encode())]), Applied())
    (span,) = recorded.spans()

    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    assert isinstance(handed.content, ReceivedRequest)
    assert handed.content.traceparent == f"00-{TRACE}-{span.context.span_id:016x}-01"
    assert span.attributes is not None
    assert span.attributes["signin.outcome"] == "applied"
    assert span.attributes["messaging.kafka.offset"] == 0


async def test_a_request_without_a_trace_starts_one(recorded: RecordedTracing) -> None:
    """A record without a ``traceparent`` gets a span without a parent."""
    handed = await handled(recorded, request_record(), Applied())
    (span,) = recorded.spans()

    assert span.parent is None
    assert isinstance(handed.content, ReceivedRequest)
    assert f"{span.context.trace_id:032x}" in str(handed.content.traceparent)


async def test_a_trace_that_is_not_sampled_stays_so(recorded: RecordedTracing) -> None:
    """The flag is handed on, and no span is exported."""
    handed = await handled(recorded, request_record(headers=[("traceparent", f"{PARENT[:-2]}00".encode())]), Applied())
    assert isinstance(handed.content, ReceivedRequest)
    assert str(handed.content.traceparent).endswith("-00")
    assert recorded.spans() == ()


async def test_a_dead_letter_marks_its_span_as_failed(recorded: RecordedTracing) -> None:
    """The span names the error, and contains nothing of the record."""
    await handled(recorded, record(REQUESTED, b"ada@example.com 12345678"), Rejected("not_json", "not JSON"))
    (span,) = recorded.spans()

    assert span.attributes is not None and span.attributes["error.type"] == "not_json"
    assert not span.status.is_ok
    assert "ada@" not in span.to_json() and "12345678" not in span.to_json()


@pytest.mark.parametrize("down", [False, True])
async def test_a_published_result_has_a_span_and_keeps_its_bytes(recorded: RecordedTracing, down: bool) -> None:
    """The record keeps the ``traceparent`` from the history, so a repeated publication has the same bytes."""
    publisher = FakePublisher()
    publisher.down = PublishUnavailable if down else None
    result = SignInRejected(signin_id=SIGNIN, occurred_at=datetime.now(UTC), reason="stale")
    event = ResultEvent(result=result, traceparent=PARENT, masked="a***@e***.com")

    try:
        await recorded.tracing.traced_publisher(publisher, "signin.results").publish(event)
    except PublishUnavailable:
        assert down

    (span,) = recorded.spans()

    assert span.name == "send signin.results"
    assert span.attributes is not None
    assert span.attributes.get("error.type") == ("PublishUnavailable" if down else None)
    assert (span.attributes["signin.result"], span.attributes["signin.reason"]) == ("signin.rejected", "stale")
    assert publisher.published == ([] if down else [event])
    assert "e***" not in span.to_json()


@pytest.mark.parametrize(
    ("variables", "service"),
    [
        ({}, "signin-worker"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=from-attributes,team=identity"}, "from-attributes"),
        ({"OTEL_SERVICE_NAME": "named"}, "named"),
        ({"OTEL_SERVICE_NAME": "named", "OTEL_RESOURCE_ATTRIBUTES": "service.name=from-attributes"}, "named"),
        ({"OTEL_SERVICE_NAME": "", "OTEL_RESOURCE_ATTRIBUTES": "service.name="}, "signin-worker"),
    ],
)
def test_opentelemetrys_variables_name_the_service(
    monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], service: str
) -> None:
    """``OTEL_SERVICE_NAME`` comes first, then ``service.name`` of the resource attributes, then our own name."""
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    recorded = RecordedTracing()
    with recorded.tracing.tracer.start_as_current_span("any"):
        pass
    (span,) = recorded.spans()

    assert span.resource.attributes["service.name"] == service


class Inner(ActivityInboundInterceptor):
    """The activity itself."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """Return or raise."""
        if self._error is not None:
            raise self._error
        return "done"


async def run_activity(recorded: RecordedTracing, task: object, error: Exception | None = None) -> None:
    """Run an activity with this input."""
    intercepted = recorded.tracing.activity_interceptor().intercept_activity(Inner(error))
    call = ExecuteActivityInput(fn=lambda: None, args=[task], executor=None, headers={})
    await called("validate_email_activity").run(intercepted.execute_activity, call)


async def test_an_activity_has_a_span_in_the_trace_of_its_attempt(recorded: RecordedTracing) -> None:
    """The span has the same ids as a span of Temporal's own interceptor, and the number of the try."""
    await run_activity(recorded, EmailToCheck(email="ada@example.com", traceparent=PARENT))
    (span,) = recorded.spans()

    assert span.name == "RunActivity:validate_email_activity"
    assert span.attributes is not None and span.attributes["signin.try"] == 3
    assert span.parent is not None and f"{span.parent.span_id:016x}" == SPAN
    assert "ada@" not in span.to_json()


async def test_a_failed_activity_reports_only_the_class_of_its_error(recorded: RecordedTracing) -> None:
    """The span names the error's type, never its message."""
    error = ApplicationError("ada@example.com is away", type="MailUnavailable")
    with pytest.raises(ApplicationError):
        await run_activity(recorded, EmailToCheck(email="ada@example.com", traceparent=PARENT), error)
    (span,) = recorded.spans()

    assert span.attributes is not None and span.attributes["error.type"] == "MailUnavailable"
    assert "ada@" not in span.to_json()


async def test_the_check_of_a_code_links_to_its_submission(recorded: RecordedTracing) -> None:
    """The submission has a trace of its own, and the span links to it."""
    compare = CodeToVerify(
        signin_id=SIGNIN,
        account="a",
        nonce="n",
        key_id="k",
        digits=8,
        seal="sealed",
        seal_key_id="k",
        traceparent=PARENT,
        submission_traceparent=OTHER,
    )
    await run_activity(recorded, compare)
    (span,) = recorded.spans()

    assert [f"{link.context.trace_id:032x}" for link in span.links] == [OTHER.split("-")[1]]
    assert "sealed" not in span.to_json()


class FrozenExporter(SpanExporter):
    """An exporter that hangs until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Wait."""
        self.released.wait()
        return SpanExportResult.SUCCESS


async def test_a_collector_that_hangs_does_not_delay_the_stop() -> None:
    """The worker must stop within 30 s, so spans that cannot be exported in time are lost."""
    exporter = FrozenExporter()
    tracing = Tracing(exporter)
    with tracing.tracer.start_as_current_span("left"):
        pass

    began = time.monotonic()
    tracing.close()

    assert time.monotonic() - began < 10

    exporter.released.set()


@pytest.mark.parametrize(
    "task",
    [FirstAttemptQuery(signin_id=SIGNIN), EmailToCheck(email="ada@example.com"), Publication(events=())],
)
async def test_an_activity_outside_any_trace_has_no_span(recorded: RecordedTracing, task: object) -> None:
    """Tasks without a trace get no span; nor do publications, whose results have spans of their own."""
    await run_activity(recorded, task)
    assert recorded.spans() == ()
