"""The signals of a mailbox that have not been read yet.

They are read at most a thousand at a time. Temporal delivers all signals since the last
workflow task together with the next one, up to 10,000 of them. The SDK fails a task that
computes for two seconds; the retry fails in the same way, and nobody could use that mailbox
again. So a signal handler only stores the raw payloads. Decoding them and deciding about them
take the time, and happen in batches.

A signal that cannot be read was written by another release. It fails the workflow task, which
Temporal does again until a release that can read the signal does it (docs/adr/0028). A signal
that no release can have written is dropped: every message of every release is a JSON object
that names its sign-in.
"""

import json
import logging
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.converter import PayloadConverter

from schemas.fields import SIGNIN_ID_PATTERN
from schemas.signals import Challenge, Refusal, Rejection, Submission
from workflows.names import OPEN_OR_RESEND_SIGNAL, REFUSE_RESEND_SIGNAL, REJECT_SIGNAL, SUBMIT_SIGNAL

MAX_SIGNALS_PER_BATCH: Final = 1_000

Signal = Challenge | Refusal | Rejection | Submission

MESSAGES: Final[Mapping[str, type[Signal]]] = MappingProxyType(
    {
        OPEN_OR_RESEND_SIGNAL: Challenge,
        REFUSE_RESEND_SIGNAL: Refusal,
        REJECT_SIGNAL: Rejection,
        SUBMIT_SIGNAL: Submission,
    }
)
"""The message that each signal carries."""

_JSON: Final = b"json/plain"
_NOTHING: Final = b"binary/null"

logger = logging.getLogger(__name__)


class UnreadableSignal(Exception):
    """Raised when only another release can read a signal. The text quotes nothing of its content."""


class Inbox:
    """A first-in, first-out queue of raw signals."""

    def __init__(self, converter: PayloadConverter) -> None:
        self._converter = converter
        self._unread = deque[tuple[str, Sequence[RawValue]]]()

    def __len__(self) -> int:
        """Return how many signals are unread."""
        return len(self._unread)

    def put(self, name: str, arguments: Sequence[RawValue]) -> None:
        """Store a signal."""
        self._unread.append((name, arguments))

    def read_batch(self) -> Iterator[Signal]:
        """Yield the next ``MAX_SIGNALS_PER_BATCH`` signals.

        Drop what no release can have written. Raises ``UnreadableSignal``.
        """
        for _ in range(min(len(self._unread), MAX_SIGNALS_PER_BATCH)):
            signal = self._decode(*self._unread.popleft())
            if signal is not None:
                yield signal

    def _decode(self, name: str, arguments: Sequence[RawValue]) -> Signal | None:
        """Return the signal, or None after logging that it was dropped."""
        kind = MESSAGES.get(name)
        error = "no argument" if kind else "unknown name"

        if kind is not None and arguments:
            try:
                decoded: object = self._converter.from_payload(arguments[0].payload, kind)
            except Exception as unreadable:
                decoded = unreadable
            if isinstance(decoded, kind):
                return decoded
            error = type(decoded).__name__

        # The error's own text may quote the payload, and a name may be anything.
        shown = name if kind else "unknown"
        if any(_is_from_a_release(argument.payload) for argument in arguments):
            raise UnreadableSignal(f"a signal that only another release can read: {shown}, {error}")

        logger.error("a signal that no release wrote was dropped", extra={"signal": shown, "error": error})
        return None


def _is_from_a_release(payload: Payload) -> bool:
    """Tell whether a worker may have written the payload. Of another encoding than JSON we cannot know."""
    encoding = payload.metadata.get("encoding")
    if encoding != _JSON:
        return encoding != _NOTHING

    try:
        content = json.loads(payload.data)
    except (ValueError, RecursionError):
        return False

    signin_id = content.get("signin_id") if isinstance(content, dict) else None
    return isinstance(signin_id, str) and re.fullmatch(SIGNIN_ID_PATTERN, signin_id) is not None
