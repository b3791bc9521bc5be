"""Whether to trace, as OpenTelemetry's own environment variables say. Without a yes, none of its code is loaded."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from utils.settings.loading import SettingsError

if TYPE_CHECKING:
    from utils.tracing import Tracing

_HTTP: Final = "http/protobuf"
_GRPC: Final = "grpc"


def load_tracing(environ: Mapping[str, str]) -> "Tracing | None":
    """Return the tracing that the variables ask for, or None. Raises ``SettingsError`` if they cannot be used."""
    if not _is_wanted(environ):
        return None

    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or _HTTP
    if protocol not in {_HTTP, _GRPC}:
        raise SettingsError([f"OTEL_EXPORTER_OTLP_PROTOCOL must be {_HTTP} or {_GRPC}."])

    from utils.tracing import Tracing, grpc_exporter, http_exporter

    try:
        return Tracing(grpc_exporter() if protocol == _GRPC else http_exporter())
    except Exception as error:  # OpenTelemetry reads its variables itself, and raises errors of many kinds
        raise SettingsError([f"OTEL_* cannot be used ({type(error).__name__}: {error}): correct them."]) from None


def _is_wanted(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False

    if exporters := environ.get("OTEL_TRACES_EXPORTER"):
        return "otlp" in map(str.strip, exporters.split(","))

    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(environ.get(endpoint) for endpoint in endpoints)
