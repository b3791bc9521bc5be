"""Dead letters as the consumer makes them."""

from datetime import UTC, datetime

from consumers.dead_letters.headers import dead_letter_headers
from consumers.outcomes import Rejected
from consumers.ports import Headers, Record
from schemas.dead_letters import DeadLetterError
from schemas.topics import dead_letter_topic
from tests.fakes.inbound import SUBMITTED, signin_id

FAILED_AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
OWN_HEADERS = [
    ("dlt-topic", b"otp.submitted"),
    ("dlt-partition", b"3"),
    ("dlt-offset", b"41"),
    ("dlt-timestamp", b"1700000000123"),
    ("dlt-group", b"group"),
    ("dlt-error", b"schema"),
    ("dlt-reason", b"code: missing"),
    ("dlt-failed-at", b"2026-11-23T09:00:00.125000Z"),
    ("dlt-attempts", b"1"),
]
"""What a dead letter adds to the headers of a record that came from ``otp.submitted``, partition 3, offset 41."""


def letter_record(
    number: int = 0,
    topic: str = SUBMITTED,
    *,
    value: bytes | None = b"",
    error: DeadLetterError = "schema",
    times: int = 1,
    failed_at: datetime = FAILED_AT,
    headers: Headers = (),
    partition: int = 0,
) -> Record:
    """Return the dead letter of the record at offset ``number`` of ``topic``, dead-lettered so many ``times``."""
    record = Record(
        topic,
        partition,
        number,
        signin_id(number).encode(),
        value,
        headers,
        1_800_000_000_000,
    )
    for _ in range(times):
        own = dead_letter_headers(record, Rejected(error, "code: missing"), "group", failed_at)
        record = Record(topic, partition, number, record.key, value, own, record.timestamp_ms)
    return Record(
        dead_letter_topic(topic),
        0,
        0,
        record.key,
        value,
        record.headers,
        record.timestamp_ms,
    )
