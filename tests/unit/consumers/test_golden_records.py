"""Inbound records and dead letters on the wire (CONTRACT), against golden files.

A file holds a record as a broker hands it out (bytes that are not UTF-8 as base64), and what becomes of it.
"""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from consumers.dead_letters import DeadLettering, DeadLetterRate
from consumers.decode import Decoder
from consumers.intake import Delivery
from consumers.outcomes import DeadLetterError, Outcome, Rejected
from consumers.ports import Record
from tests.fakes.dead_letter_writer import FakeDeadLetterWriter

GOLDEN = Path(__file__).parents[2] / "golden"
INBOUND = sorted((GOLDEN / "inbound").glob("*.json"))
DEAD_LETTERS = sorted((GOLDEN / "dead_letters").glob("*.json"))
NOW = datetime(2026, 11, 23, 9, 0, 42, tzinfo=UTC)
DECODER = Decoder("signin.requested", "otp.submitted")


def content(data: Any) -> bytes | None:
    """Return the bytes that stand in a golden file as text, or as base64."""
    if isinstance(data, dict):
        return base64.b64decode(data["base64"])
    return None if data is None else str(data).encode()


def record_of(golden: dict[str, Any]) -> Record:
    """Return the record of a golden file."""
    data = golden["record"]
    headers = [(name, content(value)) for name, value in data["headers"]]
    place = data["topic"], data["partition"], data["offset"]
    stamp = data["timestamp_ms"], data["timestamp_type"] == "LogAppendTime"
    return Record(*place, content(data["key"]), content(data["value"]), headers, *stamp)


def load(path: Path) -> dict[str, Any]:
    """Read a golden file."""
    golden: dict[str, Any] = json.loads(path.read_text())
    return golden


def test_every_encoding_of_every_event_and_every_error_has_a_golden_file() -> None:
    """Two events in four encodings; four errors, and a record that was put back."""
    kinds = {path.stem for path in INBOUND}
    encodings = ("plain", "binary", "structured", "structured_base64")
    assert kinds == {f"{event}_{one}" for event in ("requested", "submitted") for one in encodings} | {
        "requested_minimal"
    }
    assert {path.stem for path in DEAD_LETTERS} == {*get_args(DeadLetterError), "put_back"}


@pytest.mark.parametrize("path", INBOUND, ids=lambda path: path.stem)
def test_an_inbound_record_is_the_event_of_its_golden_file(path: Path) -> None:
    """With its trace, and the time that its age counts from."""
    golden = load(path)
    read = DECODER.decode(record_of(golden), NOW)
    assert not isinstance(read, Rejected)
    assert read.event.model_dump(mode="json") == golden["event"]
    assert read.traceparent == golden["traceparent"]
    assert read.born_at == datetime.fromisoformat(golden["born_at"])


@pytest.mark.parametrize("path", DEAD_LETTERS, ids=lambda path: path.stem)
async def test_a_dead_letter_is_the_record_of_its_golden_file(path: Path) -> None:
    """Key and value untouched; the headers in order, byte for byte."""
    golden = load(path)
    record, writer = record_of(golden), FakeDeadLetterWriter()
    read = Rejected(**golden["answer"]) if "answer" in golden else DECODER.decode(record, NOW)

    async def reject(_: Delivery) -> Outcome:
        assert isinstance(read, Rejected)
        return read

    await DeadLettering(reject, writer, DeadLetterRate(), "signin-worker", clock=lambda: NOW)(
        Delivery(record, read, "lane")
    )
    (written,) = writer.written
    assert (written.topic, written.key, written.value) == (record.topic + ".dlt", record.key, record.value)
    assert list(written.headers) == [(name, content(value)) for name, value in golden["headers"]]
