"""Field types that several messages share."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic import StrictInt, StrictStr, WithJsonSchema
from pydantic_core import PydanticCustomError

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})")
_LEAP_SECOND = re.compile(r":60(?=[.Zz+-])")


def _rfc3339(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "not a string")
    if not _RFC3339.fullmatch(value):
        raise PydanticCustomError("not_rfc3339", "not an RFC 3339 time with an offset")

    # RFC 3339 allows a leap second, datetime does not. Use the second before, as POSIX clocks do.
    return _LEAP_SECOND.sub(":59", value)


def _integer(value: Any) -> Any:
    """Return 1 for 1.0, which JSON Schema counts as an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs an offset")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("outside_years_1_to_9999", "a time outside the years 1 to 9999") from error


Timestamp = Annotated[
    datetime,
    BeforeValidator(_rfc3339),
    AfterValidator(_utc),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": f"^{_RFC3339.pattern}$"}),
]
"""An instant in UTC; on the wire, RFC 3339 with an offset."""

SIGNIN_ID_PATTERN: Final = r"^[A-Za-z0-9_-]{22,64}$"

SignInId = Annotated[StrictStr, Field(pattern=SIGNIN_ID_PATTERN)]
"""Drawn at random by the emitter, with at least 128 bits."""

SubmissionId = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_-]{16,64}$")]

Attempt = Annotated[StrictInt, Field(ge=1, le=20), BeforeValidator(_integer)]
"""1 opens a sign-in; 2 and up mean "send it again"."""


NEWEST_FORMAT: Final = 1

Format = Annotated[int, Field(ge=1, le=NEWEST_FORMAT)]
"""The format of a message between workers, which may be of two releases.

Unknown members are ignored. A release that adds one that must not be ignored first learns to read
the next format, and only its successor writes it (docs/adr/0028).
"""


class Message(BaseModel):
    """Base of everything that crosses a wire: immutable, ignores unknown fields."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)
