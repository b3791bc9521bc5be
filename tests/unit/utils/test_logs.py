"""What the log looks like, and what never stands in it."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from utils.logs import configure_logging, redact


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    names = ("aiokafka", "asyncio", "httpcore", "httpx", "uvicorn.access", "uvicorn.error", "temporalio.activity")
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def logged(message: str, *, extra: dict[str, Any] | None = None, level: str = "info", error: bool = False) -> Any:
    """Log one warning as JSON and return it parsed."""
    stream = io.StringIO()
    configure_logging(format="json", level=level, stream=stream)
    logging.getLogger("consumers.polling.loop").warning(message, extra=extra, exc_info=error)
    return json.loads(stream.getvalue())


def test_a_line_has_time_level_logger_event_and_extra() -> None:
    """One JSON object per line, with the fields of ``extra`` beside the fixed ones."""
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
    """A field called like a secret never shows its value; a status code is none."""
    line = logged("x", extra={"email": "a", "status_code": 5, "inner": {"Code": 1, "list": [{"smtp_password": "p"}]}})
    assert line["email"] == "***"
    assert line["status_code"] == 5
    assert line["inner"] == {"Code": "***", "list": [{"smtp_password": "***"}]}


def test_addresses_are_masked_wherever_they_stand() -> None:
    """The local part of an address is masked in the message, in fields and in tracebacks."""
    try:
        raise ValueError("550 <ada@example.com> unknown")
    except ValueError:
        line = logged("no mail for eve+x@example.org", extra={"answer": ("bob@example.net",)}, error=True)
    assert line["event"] == "no mail for ***@example.org"
    assert line["answer"] == ["***@example.net"]
    assert "550 <***@example.com> unknown" in line["exception"]


def test_values_that_json_does_not_know_are_shown_as_text() -> None:
    """An odd value in ``extra`` costs no line."""
    assert logged("x", extra={"path": IOError})["path"] == "<class 'OSError'>"


@pytest.mark.parametrize(("format", "stream"), [("console", io.StringIO()), (None, Terminal())])
def test_console_is_for_people(format: Any, stream: io.StringIO) -> None:
    """On a terminal, or when asked for, a line is text."""
    configure_logging(format=format, level="info", stream=stream)
    logging.getLogger("x").info("hello %s", "there", extra={"email": "ada@example.com"})
    assert "hello there" in stream.getvalue()
    assert "ada" not in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_json_is_the_default_elsewhere() -> None:
    """What is not a terminal gets JSON."""
    stream = io.StringIO()
    configure_logging(format=None, level="info", stream=stream)
    logging.getLogger("x").info("hello")
    assert json.loads(stream.getvalue())["event"] == "hello"


def test_level_and_noisy_loggers() -> None:
    """Below the level nothing is shown, and chatty libraries only from warnings on."""
    stream = io.StringIO()
    configure_logging(format="json", level="debug", stream=stream)
    logging.getLogger("consumers").debug("ours")
    logging.getLogger("aiokafka.conn").info("theirs")

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["ours"]

    configure_logging(format="json", level="error", stream=stream)
    logging.getLogger("aiokafka.conn").warning("theirs")

    assert "theirs" not in stream.getvalue()


def test_the_same_complaint_is_shown_once_in_a_while() -> None:
    """A client that cannot connect says so many times a second; what is new, and what we say, is always shown."""
    stream = io.StringIO()
    configure_logging(format="json", level="info", stream=stream)
    for port in range(20):
        logging.getLogger("aiokafka").error("no connection to %s", port)

    logging.getLogger("aiokafka").error("something else")
    for _ in range(2):
        logging.getLogger("consumers").warning("ours")

    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]

    assert events == ["no connection to 0", "something else", "ours", "ours"]


def test_what_the_audit_trail_masked_is_shown_as_it_is() -> None:
    """And nothing that only looks a little like it."""
    shown = redact(None, "", {"masked_address": "a***@e***.com", "other": "aa***@e***.com and a***@e***.com"})
    assert shown == {"masked_address": "a***@e***.com", "other": "***@e***.com and ***@e***.com"}
