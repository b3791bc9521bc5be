"""Decode records into events. Pure and total: any bytes give an event or a rejection, never an exception."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from activities.addresses import Address, parse_address
from consumers.outcomes import Rejected
from consumers.ports import Headers, Record, record_time
from schemas.dead_letters import DeadLetterError, DltHeader
from schemas.fields import Message
from schemas.inbound import OtpSubmitted, SignInRequested

MAX_VALUE_BYTES: Final = 64 * 1024
_MAX_REASON_LENGTH: Final = 200
_MAX_ERRORS_NAMED: Final = 3

_STRUCTURED_MODE: Final = "application/cloudevents+json"
_ERROR_POSITION: Final = re.compile(r"at line \d+ column \d+$")
_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a surrogate pair
    rb"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\."
)
_MILLISECONDS: Final = re.compile(r"[0-9]{1,15}")
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}"  # version
    r"-(?!0{32})[0-9a-f]{32}"  # trace id
    r"-(?!0{16})[0-9a-f]{16}"  # parent id
    r"-[0-9a-f]{2}"  # flags
)

_Event = TypeVar("_Event", bound=Message)


@dataclass(frozen=True)
class _Received:
    """Base. An event's age counts from ``born_at``, which is never later than the time of reading.

    ``from_future``: one of the event's timestamps was later than that.
    """

    born_at: datetime
    from_future: bool
    traceparent: str | None


@dataclass(frozen=True)
class ReceivedRequest(_Received):
    """A decoded ``signin.requested``."""

    event: SignInRequested


@dataclass(frozen=True)
class ReceivedSubmission(_Received):
    """A decoded ``otp.submitted`` with its parsed address. It counts as submitted when it was read."""

    event: OtpSubmitted
    address: Address
    read_at: datetime


Content = ReceivedRequest | ReceivedSubmission | Rejected


class _Rejection(Exception):
    """Raised to leave nested decoding with a rejection."""

    def __init__(self, error: DeadLetterError, reason: str) -> None:
        self.rejected = Rejected(error, reason)


def decode_request(record: Record, now: datetime) -> ReceivedRequest | Rejected:
    """Return the request in ``record``, read at ``now``. ``ce_type`` is not checked."""
    try:
        data, envelope = _parse_value(record)
        event = _validate(SignInRequested, data)
    except _Rejection as rejection:
        return rejection.rejected

    born_at, from_future = _birth(record, event.requested_at, now)
    traceparent = _traceparent(record.headers, envelope)

    return ReceivedRequest(born_at, from_future, traceparent, event)


def decode_submission(record: Record, now: datetime) -> ReceivedSubmission | Rejected:
    """Return the submission in ``record``, read at ``now``. ``ce_type`` is not checked."""
    try:
        data, envelope = _parse_value(record)
        event = _validate(OtpSubmitted, data)
    except _Rejection as rejection:
        return rejection.rejected

    address = parse_address(event.email)
    if address is None:
        return Rejected("schema", "email: not_an_address")

    born_at, from_future = _birth(record, event.submitted_at, now)
    traceparent = _traceparent(record.headers, envelope)

    return ReceivedSubmission(born_at, from_future, traceparent, event, address, now)


def readable_data(record: Record) -> Any:
    """Return the event's data as JSON, valid or not. None: it cannot be read."""
    try:
        data, _ = _parse_value(record)
    except _Rejection:
        return None

    return data


def parse_json(text: bytes) -> Any:
    """Parse strictly, but read half of a surrogate pair as U+FFFF. Raises ``ValueError``.

    JavaScript and Python write such halves as escapes, and the parser refuses them. No address
    has a U+FFFF.
    """
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        mended = _ESCAPE.sub(lambda escape: rb"\uffff" if escape["lone"] else escape[0], text)
        return from_json(mended, allow_inf_nan=False)


def _parse_value(record: Record) -> tuple[Any, Mapping[str, Any]]:
    """Return the event's data and the attributes of its envelope, which only structured mode has."""
    value = record.value
    if record.unreadable is not None:
        raise _Rejection("unreadable", f"batch: {record.unreadable.error}")
    if value is None:
        raise _Rejection("not_json", "value: tombstone")
    if len(value) > MAX_VALUE_BYTES:
        raise _Rejection("too_large", f"value: more than {MAX_VALUE_BYTES} bytes")

    data = _parse_member("value", value)
    if not _is_structured(record.headers):
        return data, {}
    if not isinstance(data, dict):
        raise _Rejection("schema", "envelope: not_an_object")

    return _data_in(data), data


def _data_in(envelope: Mapping[str, Any]) -> Any:
    data = envelope.get("data")
    if data is not None:
        return data

    encoded = envelope.get("data_base64")
    if encoded is None:
        raise _Rejection("schema", "data: missing")

    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise _Rejection("schema", "data_base64: not_base64") from None

    return _parse_member("data_base64", decoded)


def _parse_member(field: str, text: bytes) -> Any:
    if not text:
        raise _Rejection("not_json", f"{field}: empty")

    try:
        return parse_json(text)
    except ValueError as error:
        position = _ERROR_POSITION.search(str(error))
        where = f" {position.group()}" if position else ""
        raise _Rejection("not_json", f"{field}: not_json{where}") from None


def _validate(model: type[_Event], data: Any) -> _Event:
    if not isinstance(data, dict):
        raise _Rejection("schema", "value: not_an_object")

    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _Rejection("schema", _reason(error)) from None


def _reason(invalid: ValidationError) -> str:
    """Name the fields and the rules they break. Pydantic's messages may quote values, so they are left out."""
    errors = invalid.errors(
        include_url=False,
        include_context=False,
        include_input=False,
    )
    named = []
    for error in errors[:_MAX_ERRORS_NAMED]:
        field = ".".join(map(str, error["loc"]))
        named.append(f"{field}: {error['type']}")

    return "; ".join(named)[:_MAX_REASON_LENGTH]


def _is_structured(headers: Headers) -> bool:
    kinds = [_text(value) for name, value in headers if name.lower() == "content-type"]
    return any(kind.strip().lower().startswith(_STRUCTURED_MODE) for kind in kinds)


def _traceparent(headers: Headers, envelope: Mapping[str, Any]) -> str | None:
    by_name = {name.lower(): _text(value) for name, value in headers}
    candidates = [
        by_name.get("traceparent"),
        by_name.get("ce_traceparent"),
        envelope.get("traceparent"),
    ]
    return next(filter(_is_traceparent, candidates), None)


def _is_traceparent(text: Any) -> bool:
    return isinstance(text, str) and _TRACEPARENT.fullmatch(text) is not None


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")


def _birth(record: Record, own_time: datetime, now: datetime) -> tuple[datetime, bool]:
    """Return the earliest timestamp that counts, at most ``now``, and whether any of them lies in the future.

    The emitter's clock counts only where the broker does not stamp. A replayed dead letter keeps its first timestamp.
    """
    broker = record_time(record.timestamp_ms) if record.log_append_time else None
    times = [own_time if broker is None else broker]

    for name, value in record.headers:
        replayed = _instant_in(value) if name == DltHeader.TIMESTAMP else None
        if replayed is not None:
            times.append(replayed)

    return min(now, *times), any(time > now for time in times)


def _instant_in(header: bytes | None) -> datetime | None:
    text = _text(header)
    return record_time(int(text)) if _MILLISECONDS.fullmatch(text) else None
