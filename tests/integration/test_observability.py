"""What the real worker exports about itself: traces, time series and log lines."""

import json
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.local.servers.backends import Kafka
from deploy.local.servers.mail_server import MailServer
from deploy.local.places import LOOPBACK, free_ports
from deploy.local.servers.siteverify import passing_token
from deploy.local.waiting import eventually
from deploy.local.worker import LocalWorker
from deploy.local.topics import Topics
from utils.endpoints import serving

ADA = "ada@ok.example"
PEOPLE = 15
MAX_SERIES = 1_000
REQUEST_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SUBMISSION_TRACE = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"
WITHIN_S = 60


class Collector:
    """Receives spans by OTLP."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.bytes = b""
        (self.port,) = free_ports(1)

    async def receive(self, request: Request) -> Response:
        """Keep the spans of one batch."""
        body = await request.body()
        self.bytes += body

        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

        return Response(b"", media_type="application/x-protobuf")

    def named(self, name: str) -> list[Span]:
        """Return the spans with this name, by start time."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.start_time_unix_nano)


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """Give a collector that listens."""
    collector = Collector()
    app = Starlette(routes=[Route("/v1/traces", collector.receive, methods=["POST"])])
    async with serving(app, LOOPBACK, collector.port):
        yield collector


@pytest.fixture
async def worker(worker_settings: dict[str, str], collector: Collector) -> AsyncIterator[LocalWorker]:
    """Give the real worker, which exports its spans to the collector."""
    (port,) = free_ports(1)
    tracing = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{collector.port}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    worker = LocalWorker(worker_settings | tracing, port)
    await worker.start()
    yield worker
    worker.stop()


class Person:
    """Emits a person's events, as upstream does."""

    def __init__(self, producer: AIOKafkaProducer, topics: Topics, email: str = ADA) -> None:
        self._producer = producer
        self._topics = topics
        self._email = email
        self.signin_id = uuid.uuid4().hex
        self.token = passing_token(self.signin_id)

    async def request(self, attempt: int = 1) -> None:
        """Request a code."""
        request = {"signin_id": self.signin_id, "attempt": attempt, "email": self._email, "requested_at": _now()}
        await self._emit(self._topics.requested, request | {"turnstile_token": self.token}, REQUEST_TRACE)

    async def submit(self, code: str) -> None:
        """Submit a code."""
        submission = {"submission_id": uuid.uuid4().hex, "signin_id": self.signin_id, "email": self._email}
        await self._emit(self._topics.submitted, submission | {"code": code, "submitted_at": _now()}, SUBMISSION_TRACE)

    async def _emit(self, topic: str, event: dict[str, Any], traceparent: str) -> None:
        headers = [("traceparent", traceparent.encode())]
        key = self.signin_id.encode()
        await self._producer.send_and_wait(topic, json.dumps(event).encode(), key, headers=headers)


def _now() -> str:
    return datetime.now(UTC).isoformat()


async def test_one_trace_leads_from_the_request_to_its_results(
    kafka: Kafka, topics: Topics, worker: LocalWorker, collector: Collector, mail_server: MailServer
) -> None:
    """The trace covers each activity. The submission has a trace of its own, to which the check of its code links."""
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        person = Person(producer, topics)
        await person.request()
        code = (await mail_server.mail_to(ADA, within_s=WITHIN_S)).code()
        await person.submit(code)
        send = f"send {topics.results}"
        await eventually(lambda: _has(collector, send, 2), "both results", within_s=WITHIN_S)

    await worker.end()  # exports the remaining spans
    (request,) = collector.named(f"process {topics.requested}")
    (submission,) = collector.named(f"process {topics.submitted}")

    assert _ids(request) == tuple(REQUEST_TRACE.split("-")[1:3])
    assert _ids(submission) == tuple(SUBMISSION_TRACE.split("-")[1:3])

    children = defaultdict(list)
    for span in collector.spans:
        children[span.parent_span_id].append(span)

    names = {span.name for span in children[request.span_id]}

    assert names == {send} | {
        f"RunActivity:{name}_activity"
        for name in ("validate_email", "verify_turnstile", "hand_over", "generate_otp", "send_email", "verify_otp")
    }

    (check,) = collector.named("RunActivity:verify_otp_activity")

    assert [(link.trace_id, link.span_id) for link in check.links] == [(submission.trace_id, submission.span_id)]

    sent = [_attributes(span) for span in collector.named(send)]

    assert [one["signin.result"] for one in sent] == ["signin.code_sent", "signin.succeeded"]
    assert _attributes(request)["messaging.destination.name"] == topics.requested
    assert {span.trace_id for span in collector.spans} == {request.trace_id, submission.trace_id}

    for secret in (ADA, "ada@", code, person.token):
        assert secret.encode() not in collector.bytes


async def _has(collector: Collector, name: str, count: int) -> bool:
    return len(collector.named(name)) >= count


def _ids(span: Span) -> tuple[str, str]:
    return span.trace_id.hex(), span.parent_span_id.hex()


def _attributes(span: Span) -> dict[str, str | int]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


async def test_the_number_of_series_does_not_grow_with_people(
    kafka: Kafka, topics: Topics, worker: LocalWorker, mail_server: MailServer
) -> None:
    """Twice as many sign-ins give as many series, and no series names an address or a workflow."""
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        await _sign_in(producer, topics, mail_server, range(PEOPLE))
        before = await _series(worker)
        await _sign_in(producer, topics, mail_server, range(PEOPLE, 2 * PEOPLE))
        after = await _series(worker)

    assert sorted(after - before) == []
    assert 100 < len(after) < MAX_SERIES
    assert not [one for one in after if "ok.example" in one or "signin/" in one or "mailbox/" in one]


async def test_the_log_has_a_line_per_record_and_decision(
    kafka: Kafka, topics: Topics, worker: LocalWorker, mail_server: MailServer
) -> None:
    """Each record and each decision has one line, with the sign-in's id and without the address."""
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        (person,) = await _sign_in(producer, topics, mail_server, range(1))

    await worker.end()
    lines = [json.loads(line) for line in worker.process.log.read_text().splitlines() if line.startswith("{")]
    mine = [line for line in lines if line.get("signin_id") == person.signin_id]
    records = [(line["topic"], line["outcome"], line["tries"]) for line in mine if line["event"] == "record"]

    assert records == [(topics.requested, "applied", 1), (topics.submitted, "applied", 1)]

    decided = [line["result"] for line in mine if line["logger"] == "audit"]

    assert decided == ["signin.code_sent", "signin.succeeded"]
    assert ADA not in str(lines)


async def _sign_in(producer: AIOKafkaProducer, topics: Topics, mail_server: MailServer, numbers: range) -> list[Person]:
    """Let people sign in, one after the other; return once the last has succeeded."""
    servers = producer.client._bootstrap_servers
    people = []

    for number in numbers:
        email = f"ada{number}@ok.example"
        person = Person(producer, topics, email)
        await person.request()
        mail = await mail_server.mail_to(email, within_s=WITHIN_S)
        await person.submit(mail.code())
        people.append(person)

    async def all_are_in() -> bool:
        async with AIOKafkaConsumer(bootstrap_servers=servers) as consumer:
            (end,) = (await consumer.end_offsets([TopicPartition(topics.results, 0)])).values()
        return bool(end >= 2 * numbers.stop)

    await eventually(all_are_in, "all have signed in", within_s=WITHIN_S)

    return people


async def _series(worker: LocalWorker) -> set[str]:
    """Return all series, each with its name and labels."""
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(worker.metrics_url)).text

    return {line.rpartition(" ")[0] for line in text.splitlines() if line and not line.startswith("#")}
