"""The signals of a mailbox that have not been read yet.

They are read at most a thousand at a time. Temporal delivers all signals since the last
workflow task together with the next one, up to 10,000 of them. The SDK fails a task that
computes for two seconds; the retry fails in the same way, and nobody could use that mailbox
again. So a signal handler only stores the raw payload. Decoding it and deciding about it
take the time, and happen in batches.
"""

import logging
from collections import deque
from collections.abc import Iterator
from typing import Final

from temporalio.common import RawValue
from temporalio.converter import PayloadConverter

from schemas.signals import Challenge, Refusal, Submission

MAX_SIGNALS_PER_BATCH: Final = 1_000

Signal = Challenge | Refusal | Submission

logger = logging.getLogger(__name__)


class Inbox:
    """A first-in, first-out queue of raw signals."""

    def __init__(self, converter: PayloadConverter) -> None:
        self._converter = converter
        self._unread = deque[tuple[type[Signal], RawValue]]()

    def __len__(self) -> int:
        """Return how many signals are unread."""
        return len(self._unread)

    def put(self, kind: type[Signal], raw: RawValue) -> None:
        """Store a signal."""
        self._unread.append((kind, raw))

    def read_batch(self) -> Iterator[Signal]:
        """Yield the next ``MAX_SIGNALS_PER_BATCH`` signals.

        Drop unreadable ones, as the SDK does.
        """
        for _ in range(min(len(self._unread), MAX_SIGNALS_PER_BATCH)):
            kind, raw = self._unread.popleft()
            signal = self._decode(kind, raw)
            if signal is not None:
                yield signal

    def holds_first_attempt(self, signin_id: str) -> bool:
        """Tell whether the first attempt of a sign-in is among the unread signals."""
        challenges = (self._decode(kind, raw) for kind, raw in self._unread if kind is Challenge)
        return any(_is_first_attempt(challenge, signin_id) for challenge in challenges)

    def _decode(self, kind: type[Signal], raw: RawValue) -> Signal | None:
        """Return the signal, or None after logging the type of the error.

        The error's text stays out of the log: it may quote the payload.
        """
        try:
            decoded: object = self._converter.from_payload(raw.payload, kind)
        except Exception as error:
            decoded = error

        if isinstance(decoded, kind):
            return decoded

        extra = {"signal": kind.__name__, "error": type(decoded).__name__}
        logger.error("unreadable signal dropped", extra=extra)
        return None


def _is_first_attempt(signal: Signal | None, signin_id: str) -> bool:
    return isinstance(signal, Challenge) and signal.signin_id == signin_id and signal.attempt == 1
