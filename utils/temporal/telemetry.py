"""The SDK's runtime, and the metrics that the SDK collects."""

import http.client
import logging
import os
import socket
from typing import Final

from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

logger = logging.getLogger(__name__)

_LOOPBACK: Final = "127.0.0.1"
_SCRAPE_TIMEOUT_S: Final = 2.0
_BIND_TRIES: Final = 5
# One thread keeps up with one Python. With the default, one for each core, threads wake each other for nothing.
_THREADS_VARIABLE: Final = "TOKIO_WORKER_THREADS"


class SdkTelemetry:
    """The SDK's runtime. It exports its metrics to a loopback port, which ``metrics`` reads.

    The SDK serves its metrics on an endpoint of its own and cannot write to another one. So
    its page is fetched and appended to the worker's.
    """

    def __init__(self) -> None:
        self.runtime, self._port = _runtime_with_metrics()

    def metrics(self) -> bytes:
        """Return the SDK's metrics in Prometheus' text format, empty if they cannot be read. Takes milliseconds."""
        connection = http.client.HTTPConnection(_LOOPBACK, self._port, timeout=_SCRAPE_TIMEOUT_S)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            logger.warning("the SDK's metrics could not be read", extra={"error": type(error).__name__})
            return b""
        finally:
            connection.close()


def _runtime_with_metrics() -> tuple[Runtime, int]:
    """Bind to a free port. Another process may take the port first: then try another one."""
    for _ in range(_BIND_TRIES - 1):
        try:
            return _bind(_free_port())
        except (RuntimeError, ValueError):
            continue
    return _bind(_free_port())


def _bind(port: int) -> tuple[Runtime, int]:
    os.environ.setdefault(_THREADS_VARIABLE, "1")  # the SDK has no option for it
    metrics = PrometheusConfig(
        bind_address=f"{_LOOPBACK}:{port}",
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
    )
    return Runtime(telemetry=TelemetryConfig(metrics=metrics)), port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
