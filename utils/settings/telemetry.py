"""Whether to trace: OpenTelemetry's own variables decide, and nothing of it is loaded unless they say yes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from utils.settings.loading import SettingsError

if TYPE_CHECKING:
    from utils.tracing import Tracing

_OTLP_PROTOCOL: Final = "http/protobuf"


def tracing(environ: Mapping[str, str]) -> "Tracing | None":
    """Return what OpenTelemetry's variables ask for; None, and nothing of it is loaded, if they do not.

    Raises ``SettingsError`` for a protocol that is not there.
    """
    if not _wants_traces(environ):
        return None
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in {None, "", _OTLP_PROTOCOL}:
        raise SettingsError([f"OTEL_EXPORTER_OTLP_PROTOCOL must be {_OTLP_PROTOCOL}: name that port of the collector."])
    from utils.tracing import Tracing, otlp_exporter

    return Tracing(otlp_exporter(), environ)


def _wants_traces(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporters = environ.get("OTEL_TRACES_EXPORTER", "")
    if exporters:
        return "otlp" in exporters.split(",")
    return any(environ.get(f"OTEL_EXPORTER_OTLP_{which}ENDPOINT") for which in ("", "TRACES_"))
