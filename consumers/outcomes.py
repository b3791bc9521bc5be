"""What can become of a record.

*Returning an outcome moves the offset, raising does not*: that is the whole contract of a handler. The one exception it
raises on purpose means "not now"::

    NotNow                 the record stays open, the same call is made again
    ├── KeyBusy            one workflow can't take more just now: others can
    ├── Throttled          Temporal asks everybody to slow down
    ├── Unreachable        no usable answer; the call may have been applied
    └── Misconfigured      nobody's call can succeed until an operator acts

Anything else is a bug, and ends the process.
"""

from dataclasses import dataclass
from typing import ClassVar

from schemas.dead_letters import DeadLetterError


@dataclass(frozen=True)
class Applied:
    """Temporal has it."""


@dataclass(frozen=True)
class Duplicate:
    """Temporal had it before."""


@dataclass(frozen=True)
class Late:
    """A submission older than any code it could match. No result."""


@dataclass(frozen=True)
class Ignored:
    """Older than what Temporal remembers. No result, so that it can't contradict an earlier one."""


@dataclass(frozen=True)
class Rejected:
    """Never: a dead letter. ``reason`` names the field and the rule, never a value."""

    error: DeadLetterError
    reason: str


Outcome = Applied | Duplicate | Late | Ignored | Rejected


class NotNow(Exception):
    """Base: try the same again. ``detail`` is a fixed text, fit for a log."""

    name: ClassVar[str] = "not_now"
    shortest_wait_s: ClassVar[float] = 0.0

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.name)


class KeyBusy(NotNow):
    """Raised when one workflow can't take more just now."""

    name = "key_busy"


class Throttled(NotNow):
    """Raised when Temporal asks to slow down."""

    name = "throttled"
    shortest_wait_s = 1.0


class Unreachable(NotNow):
    """Raised when Temporal gave no usable answer. The call may have been applied."""

    name = "unreachable"


class Misconfigured(NotNow):
    """Raised when no call can succeed until an operator acts: credentials, namespace."""

    name = "misconfigured"
