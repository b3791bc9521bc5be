"""What spans hold, and above all what they do not."""

import threading
import time
from collections.abc import Iterator, Sequence
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

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
OTHER = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"
SIGNIN = "s" * 22


class Eyes:
    """Tracing, and what it sent."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = Tracing(self._exporter, {})

    def spans(self) -> Sequence[ReadableSpan]:
        """Return all spans. There are no more afterwards."""
        self.tracing.close()
        return self._exporter.get_finished_spans()


@pytest.fixture
def eyes() -> Iterator[Eyes]:
    """Give a tracing that is watched."""
    eyes = Eyes()
    yield eyes
    eyes.tracing.close()


def delivery(one: Record) -> Delivery:
    """Decode a record."""
    intake = Intake(REQUESTED, SUBMITTED, Pseudonyms(b"k" * 32), FakeConsumerMetrics())
    return intake.receive(one)


async def traced(eyes: Eyes, one: Record, outcome: Outcome) -> Delivery:
    """Handle a record whose end is ``outcome``; return what the handler was given."""
    given: list[Delivery] = []

    async def handler(delivery: Delivery) -> Outcome:
        given.append(delivery)
        return outcome

    assert await eyes.tracing.traced_handler(handler, "group")(delivery(one)) == outcome

    return given[0]


async def test_what_a_record_leads_to_goes_on_from_its_span(eyes: Eyes) -> None:
    """The emitter's span is its parent; its own is what is handed on."""
    handed = await traced(eyes, request_record(headers=[("traceparent", PARENT.encode())]), Applied())
    (span,) = eyes.spans()

    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    assert isinstance(handed.content, ReceivedRequest)
    assert handed.content.traceparent == f"00-{TRACE}-{span.context.span_id:016x}-01"
    assert span.attributes is not None
    assert span.attributes["signin.outcome"] == "applied"
    assert span.attributes["messaging.kafka.offset"] == 0


async def test_a_request_without_a_trace_begins_one(eyes: Eyes) -> None:
    """So that it has one at all."""
    handed = await traced(eyes, request_record(), Applied())
    (span,) = eyes.spans()
    assert span.parent is None
    assert isinstance(handed.content, ReceivedRequest)
    assert f"{span.context.trace_id:032x}" in str(handed.content.traceparent)


async def test_what_an_emitter_left_out_of_its_samples_stays_out(eyes: Eyes) -> None:
    """The flag travels on, and nothing is sent."""
    handed = await traced(eyes, request_record(headers=[("traceparent", f"{PARENT[:-2]}00".encode())]), Applied())
    assert isinstance(handed.content, ReceivedRequest)
    assert str(handed.content.traceparent).endswith("-00")
    assert eyes.spans() == ()


async def test_a_dead_letter_is_an_error_by_its_name(eyes: Eyes) -> None:
    """Nothing of the record is in the span."""
    await traced(eyes, record(REQUESTED, b"ada@example.com 12345678"), Rejected("not_json", "not JSON"))
    (span,) = eyes.spans()
    assert span.attributes is not None and span.attributes["error.type"] == "not_json"
    assert not span.status.is_ok
    assert "ada@" not in span.to_json() and "12345678" not in span.to_json()


@pytest.mark.parametrize("down", [False, True])
async def test_a_publication_is_a_span_and_its_bytes_are_as_they_were(eyes: Eyes, down: bool) -> None:
    """The record keeps the traceparent that stands in history: a repeat is the same bytes."""
    publisher = FakePublisher()
    publisher.down = PublishUnavailable if down else None
    result = SignInRejected(signin_id=SIGNIN, occurred_at=datetime.now(UTC), reason="stale")
    event = ResultEvent(result=result, traceparent=PARENT, masked="a***@e***.com")

    try:
        await eyes.tracing.traced_publisher(publisher, "signin.results").publish(event)
    except PublishUnavailable:
        assert down

    (span,) = eyes.spans()

    assert span.name == "send signin.results"
    assert span.attributes is not None
    assert span.attributes.get("error.type") == ("PublishUnavailable" if down else None)
    assert (span.attributes["signin.result"], span.attributes["signin.reason"]) == ("signin.rejected", "stale")
    assert publisher.published == ([] if down else [event])
    assert "e***" not in span.to_json()


class Inner(ActivityInboundInterceptor):
    """The activity itself."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """End as told."""
        if self._error is not None:
            raise self._error
        return "done"


async def performed(eyes: Eyes, task: object, error: Exception | None = None) -> None:
    """Run an activity with this input."""
    intercepted = eyes.tracing.activity_interceptor().intercept_activity(Inner(error))
    call = ExecuteActivityInput(fn=lambda: None, args=[task], executor=None, headers={})
    await called("validate_email_activity").run(intercepted.execute_activity, call)


async def test_an_activity_is_a_span_of_the_attempt_that_it_works_for(eyes: Eyes) -> None:
    """With the ids that Temporal's own interceptors give, and the number of the try."""
    await performed(eyes, EmailToCheck(email="ada@example.com", traceparent=PARENT))
    (span,) = eyes.spans()
    assert span.name == "RunActivity:validate_email_activity"
    assert span.attributes is not None and span.attributes["signin.try"] == 3
    assert span.parent is not None and f"{span.parent.span_id:016x}" == SPAN
    assert "ada" not in span.to_json()


async def test_a_failed_try_tells_the_class_of_its_error(eyes: Eyes) -> None:
    """Not what the error says."""
    error = ApplicationError("ada@example.com is away", type="MailUnavailable")
    with pytest.raises(ApplicationError):
        await performed(eyes, EmailToCheck(email="ada@example.com", traceparent=PARENT), error)
    (span,) = eyes.spans()
    assert span.attributes is not None and span.attributes["error.type"] == "MailUnavailable"
    assert "ada" not in span.to_json()


async def test_a_compare_points_to_the_submission(eyes: Eyes) -> None:
    """Which has a trace of its own."""
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
    await performed(eyes, compare)
    (span,) = eyes.spans()

    assert [f"{link.context.trace_id:032x}" for link in span.links] == [OTHER.split("-")[1]]
    assert "sealed" not in span.to_json()


class Frozen(SpanExporter):
    """A collector that does not answer before it is told to."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Wait."""
        self.goes_on.wait()
        return SpanExportResult.SUCCESS


async def test_a_collector_that_is_away_does_not_keep_the_worker() -> None:
    """It was promised to leave within 30 s; what was not sent is lost."""
    exporter = Frozen()
    tracing = Tracing(exporter, {})
    with tracing.tracer.start_as_current_span("left"):
        pass

    began = time.monotonic()
    tracing.close()

    assert time.monotonic() - began < 10

    exporter.goes_on.set()


@pytest.mark.parametrize(
    "task",
    [FirstAttemptQuery(signin_id=SIGNIN), EmailToCheck(email="ada@example.com"), Publication(events=())],
)
async def test_what_belongs_to_no_trace_makes_no_span(eyes: Eyes, task: object) -> None:
    """Each result of a publication has a span of its own."""
    await performed(eyes, task)
    assert eyes.spans() == ()
