"""Inbound records and dead letters on the wire (CONTRACT), against golden files.

A file holds a record as a broker returns it, and the event or dead letter it becomes. Bytes that are not UTF-8 are
base64, long values are a text and a number of repeats.
"""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from activities.pseudonyms import Pseudonyms
from consumers.handling.dead_lettering import DeadLetterBreaker, DeadLettering
from consumers.intake import Delivery, Intake
from consumers.outcomes import Outcome, Rejected
from consumers.ports import Record, Unreadable
from schemas.dead_letters import DeadLetterError
from schemas.topics import dead_letter_topic
from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.fakes.dead_letter_writer import FakeDeadLetterWriter

GOLDEN = Path(__file__).parents[2] / "golden"
INBOUND = sorted((GOLDEN / "inbound").glob("*.json"))
DEAD_LETTERS = sorted((GOLDEN / "dead_letters").glob("*.json"))
NOW = datetime(2026, 11, 23, 9, 0, 42, tzinfo=UTC)
INTAKE = Intake(
    "signin.requested",
    "otp.submitted",
    Pseudonyms(bytes(32)),
    FakeConsumerMetrics(),
    clock=lambda: NOW,
)


def content(data: Any) -> bytes | None:
    """Return bytes that a golden file holds as text, as base64, or as a repeated text."""
    match data:
        case {"base64": encoded}:
            return base64.b64decode(encoded)
        case {"repeated": text, "times": times}:
            return str(text).encode() * int(times)
    return None if data is None else str(data).encode()


def record_of(golden: dict[str, Any]) -> Record:
    """Return the record of a golden file."""
    data = golden["record"]
    headers = [(name, content(value)) for name, value in data["headers"]]
    return Record(
        topic=data["topic"],
        partition=data["partition"],
        offset=data["offset"],
        key=content(data["key"]),
        value=content(data["value"]),
        headers=headers,
        timestamp_ms=data["timestamp_ms"],
        log_append_time=data["timestamp_type"] == "LogAppendTime",
        unreadable=Unreadable(**data["unreadable"]) if "unreadable" in data else None,
    )


def load(path: Path) -> dict[str, Any]:
    """Read a golden file."""
    golden: dict[str, Any] = json.loads(path.read_text())
    return golden


def test_every_encoding_of_every_event_has_a_golden_file() -> None:
    """There are four encodings, for a submission and for requests with all members and with only the required ones."""
    events = ("requested", "requested_minimal", "submitted")
    encodings = ("plain", "binary", "structured", "structured_base64")
    assert {path.stem for path in INBOUND} == {f"{event}_{encoding}" for event in events for encoding in encodings}


def test_every_error_has_a_golden_file() -> None:
    """There are files for the first failure, for a replayed record, and for an origin that an emitter made up."""
    errors = get_args(DeadLetterError)
    assert {path.stem for path in DEAD_LETTERS} == {
        *errors,
        *(f"put_back_{error}" for error in errors if error != "unreadable"),  # it is never put back
        "made_up_origin",
    }

    for path in DEAD_LETTERS:
        error = dict(load(path)["headers"])["dlt-error"]
        assert path.stem in (error, f"put_back_{error}", "made_up_origin")


@pytest.mark.parametrize("path", INBOUND, ids=lambda path: path.stem)
def test_an_inbound_record_is_the_event_of_its_golden_file(path: Path) -> None:
    """The event has the traceparent and the time its age counts from."""
    golden = load(path)
    read = INTAKE.receive(record_of(golden)).content
    assert not isinstance(read, Rejected)
    assert read.event.model_dump(mode="json") == golden["event"]
    assert read.traceparent == golden["traceparent"]
    assert read.born_at == datetime.fromisoformat(golden["born_at"])


@pytest.mark.parametrize("path", DEAD_LETTERS, ids=lambda path: path.stem)
async def test_a_dead_letter_is_the_record_of_its_golden_file(path: Path) -> None:
    """Key and value are untouched, and the headers are in order, byte for byte."""
    golden = load(path)
    record = record_of(golden)
    read = Rejected(**golden["answer"]) if "answer" in golden else INTAKE.receive(record).content
    writer = FakeDeadLetterWriter()

    async def reject(_: Delivery) -> Outcome:
        assert isinstance(read, Rejected)
        return read

    handle = DeadLettering(reject, writer, DeadLetterBreaker(), "signin-worker", clock=lambda: NOW)
    await handle(Delivery(record, read, "lane"))
    (written,) = writer.written

    assert (written.topic, written.key, written.value) == (dead_letter_topic(record.topic), record.key, record.value)
    assert list(written.headers) == [(name, content(value)) for name, value in golden["headers"]]
