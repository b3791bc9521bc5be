"""Bytes to events. Pure, and total: whatever the bytes, the answer is an event or a rejection, never an exception."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from activities.addresses import Address, parse_address
from consumers.outcomes import Rejected
from consumers.ports import Headers, Record
from schemas.fields import Message
from schemas.inbound import OtpSubmitted, SignInRequested

LARGEST_VALUE: Final = 64 * 1024
_LONGEST_REASON: Final = 200
_ERRORS_NAMED: Final = 3
_STRUCTURED: Final = "application/cloudevents+json"
_PLACE: Final = re.compile(r"at line \d+ column \d+$")
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_Event = TypeVar("_Event", bound=Message)


@dataclass(frozen=True)
class _Decoded:
    """Base. ``born_at`` is what an event's age counts from, never after the time of reading.

    ``from_future`` tells that one of its stamps was.
    """

    born_at: datetime
    from_future: bool
    traceparent: str | None


@dataclass(frozen=True)
class ReceivedRequest(_Decoded):
    """A ``signin.requested``."""

    event: SignInRequested


@dataclass(frozen=True)
class ReceivedSubmission(_Decoded):
    """An ``otp.submitted``, and the address it names."""

    event: OtpSubmitted
    address: Address


Content = ReceivedRequest | ReceivedSubmission | Rejected


class _Rejection(Exception):
    """Leaves the depths of decoding. ``rejected`` is the answer."""

    def __init__(self, rejected: Rejected) -> None:
        self.rejected = rejected


class Decoder:
    """Decodes by topic; what the event calls itself (``ce_type``) is not looked at."""

    def __init__(self, requested_topic: str, submitted_topic: str) -> None:
        self._by_topic = {requested_topic: _request, submitted_topic: _submission}

    def decode(self, record: Record, now: datetime) -> Content:
        """Return the event in ``record``, read at ``now``. Raises ``KeyError`` for a topic that is none of its two."""
        content_of = self._by_topic[record.topic]
        try:
            data, envelope = _data_of(record)
            return content_of(data, envelope, record, now)
        except _Rejection as rejection:
            return rejection.rejected


def readable_data(record: Record) -> Any:
    """Return the JSON of the event in ``record``, whatever it holds. None: it can't be read."""
    try:
        return _data_of(record)[0]
    except _Rejection:
        return None


def _request(data: Any, envelope: Mapping[str, Any], record: Record, now: datetime) -> Content:
    event = _validated(SignInRequested, data)
    born_at, from_future = _birth(record, event.requested_at, now)
    return ReceivedRequest(born_at, from_future, _traceparent(record.headers, envelope), event)


def _submission(data: Any, envelope: Mapping[str, Any], record: Record, now: datetime) -> Content:
    event = _validated(OtpSubmitted, data)
    address = parse_address(event.email)
    if address is None:
        return Rejected("schema", "email: not_an_address")
    born_at, from_future = _birth(record, event.submitted_at, now)
    return ReceivedSubmission(born_at, from_future, _traceparent(record.headers, envelope), event, address)


def _data_of(record: Record) -> tuple[Any, Mapping[str, Any]]:
    """Return the event's data, and the envelope's attributes in structured mode."""
    value = record.value
    if value is None:
        raise _Rejection(Rejected("not_json", "value: tombstone"))
    if len(value) > LARGEST_VALUE:
        raise _Rejection(Rejected("too_large", f"value: more than {LARGEST_VALUE} bytes"))
    data = _parsed("value", value)
    if not _is_structured(record.headers):
        return data, {}
    if not isinstance(data, dict):
        raise _Rejection(Rejected("schema", "envelope: not_an_object"))
    return _data_in(data), data


def _data_in(envelope: Mapping[str, Any]) -> Any:
    if envelope.get("data") is not None:
        return envelope["data"]
    encoded = envelope.get("data_base64")
    if encoded is None:
        raise _Rejection(Rejected("schema", "data: missing"))
    try:
        return _parsed("data_base64", base64.b64decode(encoded, validate=True))
    except (TypeError, ValueError, binascii.Error):
        raise _Rejection(Rejected("schema", "data_base64: not_base64")) from None


def _parsed(field: str, text: bytes) -> Any:
    if not text:
        raise _Rejection(Rejected("not_json", f"{field}: empty"))
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        place = _PLACE.search(str(error))
        raise _Rejection(Rejected("not_json", f"{field}: not_json {place.group() if place else ''}".rstrip())) from None


def _validated(model: type[_Event], data: Any) -> _Event:
    if not isinstance(data, dict):
        raise _Rejection(Rejected("schema", "value: not_an_object"))
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _Rejection(Rejected("schema", _reason(error))) from None


def _reason(error: ValidationError) -> str:
    """Name fields and rules. Messages are left out: they may hold what was sent."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    named = (f"{'.'.join(map(str, each['loc']))}: {each['type']}" for each in errors[:_ERRORS_NAMED])
    return "; ".join(named)[:_LONGEST_REASON]


def _is_structured(headers: Headers) -> bool:
    kinds = (value for name, value in headers if name.lower() == "content-type")
    return any(_text(value).strip().lower().startswith(_STRUCTURED) for value in kinds)


def _traceparent(headers: Headers, envelope: Mapping[str, Any]) -> str | None:
    by_name = {name.lower(): _text(value) for name, value in headers}
    candidates = (by_name.get("traceparent"), by_name.get("ce_traceparent"), envelope.get("traceparent"))
    return next((text for text in candidates if isinstance(text, str) and _TRACEPARENT.fullmatch(text)), None)


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")


def _birth(record: Record, own_time: datetime, now: datetime) -> tuple[datetime, bool]:
    """Return the earliest of the stamps that count, at most now, and whether one of them lies in the future.

    The emitter's clock only counts where the broker does not stamp; a dead letter put back keeps its first stamp.
    """
    broker = _instant(record.timestamp_ms) if record.log_append_time else None
    replayed = (_instant_of(value) for name, value in record.headers if name == "dlt-timestamp")
    stamps = [own_time if broker is None else broker, *(stamp for stamp in replayed if stamp is not None)]
    return min(now, *stamps), any(stamp > now for stamp in stamps)


def _instant_of(header: bytes | None) -> datetime | None:
    text = _text(header)
    return _instant(int(text)) if re.fullmatch(r"[0-9]{1,15}", text) else None


def _instant(milliseconds: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds) if milliseconds >= 0 else None
    except OverflowError:
        return None
