"""The outcomes of a record.

*Returning an outcome moves the offset, raising does not*: that is the whole contract of a handler. The one exception
raised on purpose means "not now"::

    NotNow                 the record stays open, and the same call is repeated
    ├── KeyBusy            one workflow takes no more for now; others do
    ├── Throttled          Temporal asks all callers to slow down
    ├── Unreachable        no usable answer; the call may have been applied
    └── Misconfigured      no call can succeed until an operator acts

Anything else is a bug and ends the process.
"""

from dataclasses import dataclass
from typing import ClassVar

from schemas.dead_letters import DeadLetterError


@dataclass(frozen=True)
class Applied:
    """Temporal accepted it."""


@dataclass(frozen=True)
class Duplicate:
    """Temporal already had it."""


@dataclass(frozen=True)
class Late:
    """A submission older than any code it could match. It gets no result."""


@dataclass(frozen=True)
class Ignored:
    """Older than Temporal's memory. It gets no result, because that could contradict an earlier one."""


@dataclass(frozen=True)
class Rejected:
    """Becomes a dead letter. ``reason`` names the field and the rule, never a value.

    ``consumers/decode.py`` decides the error of what cannot be read, ``consumers/gateway/error_table.py`` that of what
    Temporal refuses.
    """

    error: DeadLetterError
    reason: str


Outcome = Applied | Duplicate | Late | Ignored | Rejected


class NotNow(Exception):
    """Base: repeat the same call. ``detail`` is a fixed text that may be logged."""

    name: ClassVar[str] = "not_now"
    min_wait_s: ClassVar[float] = 0.0

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.name)


class KeyBusy(NotNow):
    """Raised when one workflow takes no more for now."""

    name = "key_busy"


class Throttled(NotNow):
    """Raised when Temporal asks all callers to slow down."""

    name = "throttled"
    min_wait_s = 1.0


class Unreachable(NotNow):
    """Raised when Temporal gives no usable answer. The call may have been applied."""

    name = "unreachable"


class Misconfigured(NotNow):
    """Raised when no call can succeed until an operator acts, for example on credentials or the namespace."""

    name = "misconfigured"
