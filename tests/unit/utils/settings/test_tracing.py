"""When the worker traces."""

import subprocess
import sys
from collections.abc import Mapping

import pytest

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
    [{}, ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}],
)
def test_tracing_is_off_by_default_and_where_it_is_disabled(environ: Mapping[str, str]) -> None:
    """Without an endpoint, or with the SDK or the exporter turned off, there is no tracing."""
    assert load_tracing(environ) is None


def test_an_unsupported_protocol_is_refused() -> None:
    """The worker does not silently use another protocol than the one that is asked for."""
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf"):
        load_tracing(ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})


def test_opentelemetry_is_not_imported_without_tracing() -> None:
    """A worker that does not trace does not pay for loading OpenTelemetry."""
    program = "import sys, signin_worker; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
