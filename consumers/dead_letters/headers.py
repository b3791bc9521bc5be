"""Where a dead letter came from and why: written into its headers, and read from them (CONTRACT: dead letters)."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from consumers.outcomes import Rejected
from consumers.ports import Headers, Record
from schemas.dead_letters import DltHeader

_ORIGIN: Final = (DltHeader.TOPIC, DltHeader.PARTITION, DltHeader.OFFSET, DltHeader.TIMESTAMP)
_OWN: Final = frozenset(
    {*_ORIGIN, DltHeader.GROUP, DltHeader.ERROR, DltHeader.REASON, DltHeader.FAILED_AT, DltHeader.ATTEMPTS}
)
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")
_ATTEMPTS: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Provenance:
    """What the ``dlt-*`` headers of a record say, right or wrong: who may write to a topic may write any of them.

    Empty or None: there is no such header, or it is not in its form.
    """

    topic: str = ""
    partition: int | None = None
    offset: int | None = None
    error: str = ""
    reason: str = ""
    failed_at: datetime | None = None
    attempts: int = 1


def dead_letter_headers(record: Record, rejected: Rejected, group: str, now: datetime) -> Headers:
    """Return the record's headers, untouched, and where it came from and why it is here.

    A record that was put back keeps its first origin and first failure, and counts its attempts up.
    """
    before = _own(record.headers)
    origin = _first_origin(before, record.topic)
    own = {
        **(origin or _origin_of(record)),
        DltHeader.GROUP: group,
        DltHeader.ERROR: rejected.error,
        DltHeader.REASON: rejected.reason,
        DltHeader.FAILED_AT: origin and before.get(DltHeader.FAILED_AT) or now.isoformat().replace("+00:00", "Z"),
        DltHeader.ATTEMPTS: str(1 + (_attempts(before) if origin else 0)),
    }
    kept = [(name, value) for name, value in record.headers if name not in _OWN]
    return [*kept, *((name, text.encode()) for name, text in own.items())]


def provenance_of(headers: Headers) -> Provenance:
    """Read the ``dlt-*`` headers. Of a repeated one the last counts."""
    own = _own(headers)
    return Provenance(
        topic=own.get(DltHeader.TOPIC, ""),
        partition=_number(own.get(DltHeader.PARTITION, "")),
        offset=_number(own.get(DltHeader.OFFSET, "")),
        error=own.get(DltHeader.ERROR, ""),
        reason=own.get(DltHeader.REASON, ""),
        failed_at=_instant(own.get(DltHeader.FAILED_AT, "")),
        attempts=_attempts(own),
    )


def _own(headers: Headers) -> dict[str, str]:
    return {name: (value or b"").decode(errors="replace") for name, value in headers if name in _OWN}


def _origin_of(record: Record) -> dict[str, str]:
    numbers = {
        DltHeader.PARTITION: record.partition,
        DltHeader.OFFSET: record.offset,
        DltHeader.TIMESTAMP: record.timestamp_ms,
    }
    return {DltHeader.TOPIC: record.topic} | {name: str(number) for name, number in numbers.items()}


def _first_origin(before: dict[str, str], topic: str) -> dict[str, str] | None:
    """Return the origin noted on a record that was put back; None unless it is whole.

    A record is only ever put back on the topic it came from: an origin on another one was made up by its emitter.
    """
    origin = {name: before.get(name, "") for name in _ORIGIN}
    whole = origin[DltHeader.TOPIC] == topic and all(_NUMBER.fullmatch(origin[name]) for name in _ORIGIN[1:])
    return origin if whole else None


def _attempts(own: dict[str, str]) -> int:
    text = own.get(DltHeader.ATTEMPTS, "")
    return int(text) if _ATTEMPTS.fullmatch(text) else 1


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _instant(text: str) -> datetime | None:
    """Return the time with its zone; a text without a zone names no instant."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else None
