"""The log: whatever goes through ``logging``, rendered by structlog as JSON lines or for a terminal.

No code of ours logs a secret. The redaction here is a second line of defence, for what a
library might log.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

_MASK: Final = "***"
_SECRET_NAMES: Final = frozenset(
    {"address", "authorization", "code", "email", "otp", "password", "recipient", "seal", "secret", "token"}
)
_SECRET_ENDINGS: Final = ("_email", "_key", "_otp", "_password", "_secret", "_token")
_LOCAL_PART: Final = re.compile(r"[^\s@<>()\[\]\"',;:=]+@(?=[\w\[])")
_MASKED_ADDRESS: Final = re.compile(r".\*\*\*@.\*\*\*\.[a-z]+")  # the form in the audit trail
# These log every request, or every attempt to connect, at info.
_NOISY: Final = ("aiohttp", "aiokafka", "asyncio", "uvicorn.access", "uvicorn.error")
# This repeats every failure that an activity has already logged with more context.
_REDUNDANT: Final = "temporalio.activity"
_REPETITIVE: Final = ("aiokafka", "opentelemetry")
_REPEAT_AFTER_S: Final = 30.0


def configure_logging(*, format: Literal["json", "console"] | None, level: str, stream: TextIO) -> None:
    """Send every log line to ``stream``.

    Without a format: console on a terminal, JSON elsewhere.
    """
    is_console = format == "console" if format else stream.isatty()
    handler = logging.StreamHandler(stream)
    handler.addFilter(_RepeatFilter())
    handler.setFormatter(_formatter(_console(stream) if is_console else _json()))

    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())

    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.getLogger(_REDUNDANT).setLevel(logging.ERROR)


class _RepeatFilter(logging.Filter):
    """Passes the same message of a library once every half minute. Without brokers there are ten a second.

    Messages are compared before their arguments are filled in, so there are not many to
    remember.
    """

    def __init__(self, stopwatch: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._stopwatch = stopwatch
        self._not_before: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is shown."""
        if not record.name.startswith(_REPETITIVE):
            return True

        now = self._stopwatch()
        message = (record.name, str(record.msg))
        if now < self._not_before.get(message, now):
            return False

        self._not_before[message] = now + _REPEAT_AFTER_S
        return True


def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Mask fields that are named like a secret, and the local part of whatever looks like an address."""
    return {name: _redacted(name, value) for name, value in event.items()}


def _redacted(name: str, value: Any) -> Any:
    if name.lower() in _SECRET_NAMES or name.lower().endswith(_SECRET_ENDINGS):
        return _MASK

    if isinstance(value, str):
        return value if _MASKED_ADDRESS.fullmatch(value) else _LOCAL_PART.sub(f"{_MASK}@", value)
    if isinstance(value, Mapping):
        return {str(inner): _redacted(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", item) for item in value]
    return value


def _formatter(renderers: list[Processor]) -> logging.Formatter:
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    after = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, *renderers]

    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=after)


def _json() -> list[Processor]:
    return [structlog.processors.JSONRenderer(default=str)]


def _console(stream: TextIO) -> list[Processor]:
    return [structlog.dev.ConsoleRenderer(colors=stream.isatty())]
