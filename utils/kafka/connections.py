"""Closed connections, reported by aiokafka as broken ones on every event loop.

Between the moment when a broker closes a connection and the one when aiokafka hears of it, uvloop refuses to write with
a ``RuntimeError``; asyncio's own loop drops what is written. aiokafka expects an ``OSError``. The ``RuntimeError`` ends
its background tasks for ever: then it fetches no metadata and no records, until the client is replaced.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_SENDERS: Final = ("send", "_send_sasl_token")
_MARK: Final = "reports_closed_transports"


def report_closed_transports() -> None:
    """Make all connections of aiokafka in this process do so. Calling it again changes nothing."""
    for name in _SENDERS:
        send = getattr(AIOKafkaConnection, name)
        if not hasattr(send, _MARK):
            setattr(AIOKafkaConnection, name, _reporting(send))


def _reporting(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    def send_or_report(connection: Any, *arguments: Any, **options: Any) -> Any:
        writer = connection._writer
        try:
            return send(connection, *arguments, **options)
        except RuntimeError as error:
            if not writer.transport.is_closing():
                raise

            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {connection.host}:{connection.port} is closed") from error

    setattr(send_or_report, _MARK, True)
    return send_or_report
