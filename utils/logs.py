"""The log: everything that goes through ``logging``, rendered by structlog as JSON lines or for a terminal.

Nothing secret is meant to be logged anywhere. The redaction here is the second line of defence, for what a library
might say.
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
_MASKED_ADDRESS: Final = re.compile(r".\*\*\*@.\*\*\*\.[a-z]+")  # as the audit trail has it
# Each of these tells of every request, or of every try to connect, at info.
_NOISY: Final = ("aiohttp", "aiokafka", "asyncio", "uvicorn.access", "uvicorn.error")
# Repeats every failure that an activity logged itself, with more context.
_REPEATING: Final = "temporalio.activity"
_TALKATIVE: Final = ("aiokafka", "opentelemetry")
_SAME_AGAIN_S: Final = 30.0


def configure_logging(*, format: Literal["json", "console"] | None, level: str, stream: TextIO) -> None:
    """Send every log line to ``stream``. Without a format: console on a terminal, else JSON."""
    console = format == "console" if format else stream.isatty()
    handler = logging.StreamHandler(stream)
    handler.addFilter(_Sparing())
    handler.setFormatter(_formatter(_console(stream) if console else _json()))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.getLogger(_REPEATING).setLevel(logging.ERROR)


class _Sparing(logging.Filter):
    """Lets one and the same complaint of a library pass every half minute: without brokers there are ten a second.

    Complaints are told apart by their text before anything is put into it, so there are not many.
    """

    def __init__(self, stopwatch: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._stopwatch = stopwatch
        self._not_before: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is shown."""
        if not record.name.startswith(_TALKATIVE):
            return True
        now, complaint = self._stopwatch(), (record.name, str(record.msg))
        if now < self._not_before.get(complaint, now):
            return False
        self._not_before[complaint] = now + _SAME_AGAIN_S
        return True


def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Mask what is called like a secret, and the local part of whatever looks like an address."""
    return {name: _masked(name, value) for name, value in event.items()}


def _formatter(renderers: list[Processor]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, *renderers],
    )


def _json() -> list[Processor]:
    return [structlog.processors.JSONRenderer(default=str)]


def _console(stream: TextIO) -> list[Processor]:
    return [structlog.dev.ConsoleRenderer(colors=stream.isatty())]


def _masked(name: str, value: Any) -> Any:
    if name.lower() in _SECRET_NAMES or name.lower().endswith(_SECRET_ENDINGS):
        return _MASK
    if isinstance(value, str):
        return value if _MASKED_ADDRESS.fullmatch(value) else _LOCAL_PART.sub(f"{_MASK}@", value)
    if isinstance(value, Mapping):
        return {str(inner): _masked(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", item) for item in value]
    return value
