"""Signals of a mailbox that wait to be looked at, a thousand at a time.

All that came since the last workflow task comes with the next one, 10,000 signals at most, and a task that computes for
two seconds is failed by the SDK, tried again and failed again: nobody could ever enter that mailbox. So a handler only
keeps what came, as it came; to decode it and to decide about it is what takes time.
"""

import logging
from collections import deque
from collections.abc import Iterator
from typing import Final

from temporalio.common import RawValue
from temporalio.converter import PayloadConverter

from schemas.signals import Challenge, Refusal, Submission

MOST_AT_ONCE: Final = 1_000

Told = Challenge | Refusal | Submission

logger = logging.getLogger(__name__)


class Inbox:
    """First in, first out."""

    def __init__(self, converter: PayloadConverter) -> None:
        self._converter = converter
        self._waiting = deque[tuple[type[Told], RawValue]]()

    def put(self, kind: type[Told], raw: RawValue) -> None:
        """Keep a signal."""
        self._waiting.append((kind, raw))

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def take(self) -> Iterator[Told]:
        """Yield the next ones, ``MOST_AT_ONCE`` at most. What cannot be read is dropped, as the SDK does."""
        for _ in range(min(len(self._waiting), MOST_AT_ONCE)):
            told = self._read(*self._waiting.popleft())
            if told is not None:
                yield told

    def holds_first_attempt(self, signin_id: str) -> bool:
        """Tell whether the first attempt of a sign-in is among those that wait."""
        challenges = (self._read(kind, raw) for kind, raw in self._waiting if kind is Challenge)
        return any(isinstance(one, Challenge) and (one.signin_id, one.attempt) == (signin_id, 1) for one in challenges)

    def _read(self, kind: type[Told], raw: RawValue) -> Told | None:
        try:
            told: object = self._converter.from_payload(raw.payload, kind)
        except Exception as error:  # its text may quote
            told = error
        if isinstance(told, kind):
            return told
        logger.error("a signal cannot be read", extra={"signal": kind.__name__, "error": type(told).__name__})
        return None
