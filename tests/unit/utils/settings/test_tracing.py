"""When the worker traces."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import add_TraceServiceServicer_to_server

from deploy.local.places import LOOPBACK
from utils.settings.loading import SettingsError
from utils.settings.tracing import load_tracing

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    "environ",
    [
        ENDPOINT,
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"},
        {"OTEL_TRACES_EXPORTER": "otlp"},
        {"OTEL_TRACES_EXPORTER": "console,otlp"},
        {"OTEL_TRACES_EXPORTER": "console, otlp"},
        ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
    ],
)
def test_an_otlp_endpoint_or_exporter_turns_tracing_on(environ: Mapping[str, str]) -> None:
    """Tracing is on when OpenTelemetry's own variables name an endpoint or the OTLP exporter."""
    tracing = load_tracing(environ)

    assert tracing is not None
    tracing.close()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        ENDPOINT | {"OTEL_SDK_DISABLED": "true"},
        ENDPOINT | {"OTEL_SDK_DISABLED": " True "},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_tracing_is_off_by_default_and_where_it_is_disabled(environ: Mapping[str, str]) -> None:
    """Without an endpoint, or with the SDK or the exporter turned off, there is no tracing."""
    assert load_tracing(environ) is None


@pytest.mark.parametrize(
    ("name", "value", "protocol"),
    [
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip", "grpc"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "grpc"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1", "http/protobuf"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many", "http/protobuf"),
    ],
)
def test_values_that_opentelemetry_cannot_use_are_wrong_settings(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, protocol: str
) -> None:
    """OpenTelemetry reads its variables itself, and raises errors of many kinds."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    environ = endpoint | {name: value}
    for each, text in environ.items():
        monkeypatch.setenv(each, text)

    with pytest.raises(SettingsError, match=r"^OTEL_\* cannot be used \("):
        load_tracing(environ)


class GrpcCollector:
    """A collector that receives spans by OTLP over gRPC."""

    def __init__(self, server: grpc.Server) -> None:
        self.spans: list[str] = []
        add_TraceServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]  # it is generated
        self.address = f"http://{LOOPBACK}:{server.add_insecure_port(f'{LOOPBACK}:0')}"

    def Export(self, request: ExportTraceServiceRequest, _: object) -> ExportTraceServiceResponse:
        """Keep the names of the spans."""
        for resource in request.resource_spans:
            self.spans += [span.name for scope in resource.scope_spans for span in scope.spans]

        return ExportTraceServiceResponse()


@pytest.fixture
def grpc_collector() -> Iterator[GrpcCollector]:
    """Give a collector that listens."""
    server = grpc.server(ThreadPoolExecutor(1))
    collector = GrpcCollector(server)
    server.start()

    yield collector

    server.stop(None)


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
def test_spans_are_exported_over_grpc(
    monkeypatch: pytest.MonkeyPatch, grpc_collector: GrpcCollector, name: str
) -> None:
    """With the protocol ``grpc``, which many clusters set for all their pods, a collector gets the spans by gRPC."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", grpc_collector.address)
    monkeypatch.setenv(name, "grpc")

    tracing = load_tracing(os.environ)

    assert tracing is not None

    with tracing.tracer.start_as_current_span("a step"):
        pass
    tracing.close()

    assert grpc_collector.spans == ["a step"]


def test_an_unsupported_protocol_is_refused() -> None:
    """The worker does not silently use another protocol than the one that is asked for."""
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf or grpc"):
        load_tracing(ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})


def test_opentelemetry_is_not_imported_without_tracing() -> None:
    """A worker that does not trace does not pay for loading OpenTelemetry."""
    program = "import sys, signin_worker; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
