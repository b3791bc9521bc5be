"""One trace from a request to its results, as a collector receives it from the real worker."""

import json
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.local.backends import Kafka, Temporal
from deploy.local.dns_server import DnsServer
from deploy.local.mail_server import MailServer
from deploy.local.places import LOOPBACK, free_ports
from deploy.local.siteverify import SiteverifyServer, passing_token
from deploy.local.waiting import eventually
from deploy.local.worker import LocalWorker, development_settings
from tests.conftest import Topics
from utils.endpoints import serving

ADA = "ada@ok.example"
ASKED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TYPED = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"
WITHIN_S = 60


class Collector:
    """What OTLP is sent to."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.bytes = b""
        (self.port,) = free_ports(1)

    async def take(self, request: Request) -> Response:
        """Keep the spans of one batch."""
        body = await request.body()
        self.bytes += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return Response(b"", media_type="application/x-protobuf")

    def named(self, name: str) -> list[Span]:
        """Return the spans with a name, in the order of their start."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.start_time_unix_nano)


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """Give one that listens."""
    collector = Collector()
    app = Starlette(routes=[Route("/v1/traces", collector.take, methods=["POST"])])
    async with serving(app, LOOPBACK, collector.port):
        yield collector


@pytest.fixture
async def worker(
    kafka: Kafka,
    temporal: Temporal,
    topics: Topics,
    mail_server: MailServer,
    siteverify: SiteverifyServer,
    dns_server: DnsServer,
    collector: Collector,
) -> AsyncIterator[LocalWorker]:
    """Give the real worker, which sends its spans to the collector."""
    (port,) = free_ports(1)
    settings = development_settings(
        {
            "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "SIGNIN_KAFKA__GROUP_ID": topics.group_id,
            "SIGNIN_KAFKA__REQUESTED_TOPIC": topics.requested,
            "SIGNIN_KAFKA__SUBMITTED_TOPIC": topics.submitted,
            "SIGNIN_KAFKA__RESULTS_TOPIC": topics.results,
            "SIGNIN_TEMPORAL__TASK_QUEUE": topics.group_id,
            "TEMPORAL_ADDRESS": temporal.address,
            "SIGNIN_SMTP__HOST": mail_server.host,
            "SIGNIN_SMTP__PORT": str(mail_server.port),
            "SIGNIN_TURNSTILE__URL": siteverify.url,
            "SIGNIN_DNS__NAMESERVERS": dns_server.host,
            "SIGNIN_DNS__PORT": str(dns_server.port),
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{collector.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
    )
    worker = LocalWorker(settings, port)
    await worker.start()
    yield worker
    worker.stop()


class Person:
    """Emits events as upstream does."""

    def __init__(self, producer: AIOKafkaProducer, topics: Topics) -> None:
        self._producer = producer
        self._topics = topics
        self.signin_id = uuid.uuid4().hex
        self.token = passing_token(self.signin_id)

    async def ask(self, attempt: int = 1) -> None:
        """Ask for a code."""
        request = {"signin_id": self.signin_id, "attempt": attempt, "email": ADA, "requested_at": _now()}
        await self._emit(self._topics.requested, request | {"turnstile_token": self.token}, ASKED)

    async def type(self, code: str) -> None:
        """Type a code."""
        submission = {"submission_id": uuid.uuid4().hex, "signin_id": self.signin_id, "email": ADA, "code": code}
        await self._emit(self._topics.submitted, submission | {"submitted_at": _now()}, TYPED)

    async def _emit(self, topic: str, event: dict[str, Any], traceparent: str) -> None:
        headers = [("traceparent", traceparent.encode())]
        key = self.signin_id.encode()
        await self._producer.send_and_wait(topic, json.dumps(event).encode(), key, headers=headers)


def _now() -> str:
    return datetime.now(UTC).isoformat()


async def test_one_trace_leads_from_the_request_to_its_results(
    kafka: Kafka, topics: Topics, worker: LocalWorker, collector: Collector, mail_server: MailServer
) -> None:
    """Through each activity; the submission has a trace of its own, and the compare that it led to points there."""
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        person = Person(producer, topics)
        await person.ask()
        code = (await mail_server.mail_to(ADA, within_s=WITHIN_S)).code()
        await person.type(code)
        send = f"send {topics.results}"
        await eventually(lambda: _has(collector, send, 2), "both results", within_s=WITHIN_S)
    await worker.end()  # and so with what it has not sent yet
    (asked,), (typed,) = (collector.named(f"process {topic}") for topic in (topics.requested, topics.submitted))
    assert _ids(asked) == tuple(ASKED.split("-")[1:3])
    assert _ids(typed) == tuple(TYPED.split("-")[1:3])
    children = defaultdict(list)
    for span in collector.spans:
        children[span.parent_span_id].append(span)
    led_to = {span.name for span in children[asked.span_id]}
    assert led_to == {send} | {
        f"RunActivity:{name}_activity"
        for name in ("validate_email", "verify_turnstile", "hand_over", "generate_otp", "send_email", "verify_otp")
    }
    (compare,) = collector.named("RunActivity:verify_otp_activity")
    assert [(link.trace_id, link.span_id) for link in compare.links] == [(typed.trace_id, typed.span_id)]
    sent = [_attributes(span) for span in collector.named(send)]
    assert [one["signin.result"] for one in sent] == ["signin.code_sent", "signin.succeeded"]
    assert _attributes(asked)["messaging.destination.name"] == topics.requested
    assert {span.trace_id for span in collector.spans} == {asked.trace_id, typed.trace_id}
    for secret in (ADA, "ada", code, person.token):
        assert secret.encode() not in collector.bytes


async def _has(collector: Collector, name: str, count: int) -> bool:
    return len(collector.named(name)) >= count


def _ids(span: Span) -> tuple[str, str]:
    return span.trace_id.hex(), span.parent_span_id.hex()


def _attributes(span: Span) -> dict[str, str | int]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
