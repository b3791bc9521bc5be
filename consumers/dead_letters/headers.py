"""Where a dead letter came from, and why it is one: headers written and read (CONTRACT: dead letters)."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from consumers.outcomes import Rejected
from consumers.ports import Headers, Record
from schemas.dead_letters import DltHeader

_ORIGIN: Final = (
    DltHeader.TOPIC,
    DltHeader.PARTITION,
    DltHeader.OFFSET,
    DltHeader.TIMESTAMP,
)
_DLT_NAMES: Final = frozenset(
    {
        *_ORIGIN,
        DltHeader.LAST_OFFSET,
        DltHeader.GROUP,
        DltHeader.ERROR,
        DltHeader.REASON,
        DltHeader.FAILED_AT,
        DltHeader.ATTEMPTS,
        DltHeader.VALUE_SIZE,
        DltHeader.VALUE_SHA256,
    }
)
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")
_ATTEMPTS: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Provenance:
    """What the ``dlt-*`` headers of a record say.

    It may be false: whoever writes to a topic can write any header. Empty or None: the
    header is missing or malformed. ``has_value``: the record still has its value.
    """

    topic: str = ""
    partition: int | None = None
    offset: int | None = None
    error: str = ""
    reason: str = ""
    failed_at: datetime | None = None
    attempts: int = 1
    has_value: bool = True


def dead_letter_headers(record: Record, rejected: Rejected, group: str, now: datetime) -> Headers:
    """Return the record's headers unchanged, and then those that say where it came from and why.

    A record that was put back keeps its first origin and its first failure, and counts
    one more attempt. The headers that are added have a bounded size, whatever the record
    came with.
    """
    before = _dlt_headers(record.headers)
    origin = _first_origin(before, record.topic)
    failed_at = _instant(before.get(DltHeader.FAILED_AT, "")) if origin else None
    attempts = 1 + _attempts(before) if origin else 1

    own = {
        **(origin or _origin_of(record)),
        **_range_of(record),
        DltHeader.GROUP: group,
        DltHeader.ERROR: rejected.error,
        DltHeader.REASON: rejected.reason,
        DltHeader.FAILED_AT: (failed_at or now).isoformat().replace("+00:00", "Z"),
        DltHeader.ATTEMPTS: str(attempts),
    }
    kept = [(name, value) for name, value in record.headers if name not in _DLT_NAMES]

    return [*kept, *((name, text.encode()) for name, text in own.items())]


def digest_headers(record: Record) -> Headers:
    """Return what stands for a value that the dead-letter topic can't take: its size in bytes, and its SHA-256."""
    value = record.value or b""
    return [
        (DltHeader.VALUE_SIZE, str(len(value)).encode()),
        (DltHeader.VALUE_SHA256, hashlib.sha256(value).hexdigest().encode()),
    ]


def only_dlt_headers(headers: Headers) -> Headers:
    """Leave out the headers that the record came with."""
    return [(name, value) for name, value in headers if name in _DLT_NAMES]


def provenance_of(headers: Headers) -> Provenance:
    """Read the ``dlt-*`` headers. The last one of a repeated header counts."""
    own = _dlt_headers(headers)

    return Provenance(
        topic=own.get(DltHeader.TOPIC, ""),
        partition=_number(own.get(DltHeader.PARTITION, "")),
        offset=_number(own.get(DltHeader.OFFSET, "")),
        error=own.get(DltHeader.ERROR, ""),
        reason=own.get(DltHeader.REASON, ""),
        failed_at=_instant(own.get(DltHeader.FAILED_AT, "")),
        attempts=_attempts(own),
        has_value=DltHeader.VALUE_SHA256 not in own and DltHeader.LAST_OFFSET not in own,
    )


def _dlt_headers(headers: Headers) -> dict[str, str]:
    return {name: (value or b"").decode(errors="replace") for name, value in headers if name in _DLT_NAMES}


def _origin_of(record: Record) -> dict[str, str]:
    return {
        DltHeader.TOPIC: record.topic,
        DltHeader.PARTITION: str(record.partition),
        DltHeader.OFFSET: str(record.offset),
        DltHeader.TIMESTAMP: str(record.timestamp_ms),
    }


def _range_of(record: Record) -> dict[str, str]:
    """Return the end of a batch that could not be decoded.

    A record has none: its offset says it all.
    """
    return {} if record.unreadable is None else {DltHeader.LAST_OFFSET: str(record.last_offset)}


def _first_origin(before: dict[str, str], topic: str) -> dict[str, str] | None:
    """Return the origin that a record was put back with, or None if it is incomplete.

    A record is only ever put back on the topic it came from. An emitter made up any
    other origin.
    """
    origin = {name: before.get(name, "") for name in _ORIGIN}
    numbers = (
        origin[DltHeader.PARTITION],
        origin[DltHeader.OFFSET],
        origin[DltHeader.TIMESTAMP],
    )
    is_complete = origin[DltHeader.TOPIC] == topic and all(_NUMBER.fullmatch(number) for number in numbers)

    return origin if is_complete else None


def _attempts(own: dict[str, str]) -> int:
    text = own.get(DltHeader.ATTEMPTS, "")
    return int(text) if _ATTEMPTS.fullmatch(text) else 1


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _instant(text: str) -> datetime | None:
    """Return the time in UTC. Without a zone, a text names no instant."""
    try:
        instant = datetime.fromisoformat(text)
        return instant.astimezone(UTC) if instant.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
