"""What a log line contains, and what it never does."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from utils.logs import configure_logging, redact


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        """Return true."""
        return True


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers = root.handlers
    level = root.level
    names = ("aiokafka", "asyncio", "httpcore", "httpx", "uvicorn.access", "uvicorn.error", "temporalio.activity")
    levels = {name: logging.getLogger(name).level for name in names}

    yield

    root.handlers = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def logged(message: str, *, extra: dict[str, Any] | None = None, level: str = "info", error: bool = False) -> Any:
    """Log one warning as JSON and return the parsed line."""
    stream = io.StringIO()
    configure_logging(format="json", level=level, stream=stream)
    logging.getLogger("consumers.polling.loop").warning(message, extra=extra, exc_info=error)
    return json.loads(stream.getvalue())


def test_a_line_has_time_level_logger_event_and_extra_fields() -> None:
    """A line is one JSON object, with the fields of ``extra`` next to the fixed ones."""
    line = logged("lane stuck", extra={"signin_id": "abc", "offset": 7})

    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "lane stuck",
        "level": "warning",
        "logger": "consumers.polling.loop",
        "signin_id": "abc",
        "offset": 7,
    }


def test_secrets_are_masked_by_name_at_any_depth() -> None:
    """A field that is named like a secret never shows its value; a status code is no secret."""
    line = logged("x", extra={"email": "a", "status_code": 5, "inner": {"Code": 1, "list": [{"smtp_password": "p"}]}})
    assert line["email"] == "***"
    assert line["status_code"] == 5
    assert line["inner"] == {"Code": "***", "list": [{"smtp_password": "***"}]}


def test_addresses_are_masked_everywhere() -> None:
    """The local part of an address is masked in messages, fields and tracebacks."""
    try:
        raise ValueError("550 <ada@example.com> unknown")
    except ValueError:
        line = logged("no mail for eve+x@example.org", extra={"answer": ("bob@example.net",)}, error=True)

    assert line["event"] == "no mail for ***@example.org"
    assert line["answer"] == ["***@example.net"]
    assert "550 <***@example.com> unknown" in line["exception"]


def test_values_that_are_not_json_are_logged_as_text() -> None:
    """A value in ``extra`` that JSON cannot represent does not lose the line."""
    assert logged("x", extra={"path": IOError})["path"] == "<class 'OSError'>"


@pytest.mark.parametrize(("format", "stream"), [("console", io.StringIO()), (None, Terminal())])
def test_the_console_format_is_for_people(format: Any, stream: io.StringIO) -> None:
    """On a terminal, or on request, a line is plain text."""
    configure_logging(format=format, level="info", stream=stream)
    logging.getLogger("x").info("hello %s", "there", extra={"email": "ada@example.com"})

    assert "hello there" in stream.getvalue()
    assert "ada" not in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_json_is_the_default_without_a_terminal() -> None:
    """A stream that is not a terminal gets JSON."""
    stream = io.StringIO()
    configure_logging(format=None, level="info", stream=stream)
    logging.getLogger("x").info("hello")
    assert json.loads(stream.getvalue())["event"] == "hello"


def test_noisy_libraries_are_logged_from_warnings_on() -> None:
    """Lines below the level are not shown, and noisy libraries only show warnings and above."""
    stream = io.StringIO()
    configure_logging(format="json", level="debug", stream=stream)
    logging.getLogger("consumers").debug("ours")
    logging.getLogger("aiokafka.conn").info("theirs")

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["ours"]

    configure_logging(format="json", level="error", stream=stream)
    logging.getLogger("aiokafka.conn").warning("theirs")

    assert "theirs" not in stream.getvalue()


def test_a_repeated_message_of_a_library_is_shown_once() -> None:
    """A message that a library repeats is shown once; new messages and our own are always shown."""
    stream = io.StringIO()
    configure_logging(format="json", level="info", stream=stream)
    for port in range(20):
        logging.getLogger("aiokafka").error("no connection to %s", port)

    logging.getLogger("aiokafka").error("something else")
    for _ in range(2):
        logging.getLogger("consumers").warning("ours")

    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]

    assert events == ["no connection to 0", "something else", "ours", "ours"]


def test_an_address_masked_by_the_audit_trail_is_shown() -> None:
    """Only a value of exactly that form is left as it is."""
    shown = redact(None, "", {"masked_address": "a***@e***.com", "other": "aa***@e***.com and a***@e***.com"})
    assert shown == {"masked_address": "a***@e***.com", "other": "***@e***.com and ***@e***.com"}
