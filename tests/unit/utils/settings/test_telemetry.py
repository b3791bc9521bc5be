"""Whether to trace."""

import subprocess
import sys
from collections.abc import Mapping

import pytest

from utils.settings.loading import SettingsError
from utils.settings.telemetry import tracing

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    "environ",
    [
        ENDPOINT,
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"},
        {"OTEL_TRACES_EXPORTER": "otlp"},
        {"OTEL_TRACES_EXPORTER": "console,otlp"},
        ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
    ],
)
def test_it_traces_where_it_is_told_to_send_to(environ: Mapping[str, str]) -> None:
    """By OpenTelemetry's own variables."""
    found = tracing(environ)
    assert found is not None
    found.close()


@pytest.mark.parametrize(
    "environ",
    [{}, ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}],
)
def test_otherwise_it_does_not(environ: Mapping[str, str]) -> None:
    """Nothing said, or said no."""
    assert tracing(environ) is None


def test_a_protocol_that_is_not_there_is_refused_by_name() -> None:
    """Not silently another one."""
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf"):
        tracing(ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})


def test_a_worker_that_does_not_trace_loads_nothing_of_it() -> None:
    """No cost when it is not configured."""
    look = "import sys, signin_worker; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
