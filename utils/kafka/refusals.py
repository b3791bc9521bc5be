"""Remembers for a moment that Kafka refuses a call until an operator acts."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from consumers.ports import KafkaMisconfigured, Stopwatch

logger = logging.getLogger(__name__)

_HOLD_S: Final = 15.0


class Refusals:
    """The latest refusal, for ``hold_s``.

    If one topic of two is refused, calls that fail and calls that succeed alternate.
    """

    def __init__(self, hold_s: float = _HOLD_S, stopwatch: Stopwatch = time.monotonic) -> None:
        self._hold_s = hold_s
        self._stopwatch = stopwatch
        self._reason = ""
        self._until = stopwatch()

    @property
    def reason(self) -> str | None:
        """What Kafka refuses, and what to do."""
        return self._reason if self._stopwatch() < self._until else None

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note the ``KafkaMisconfigured`` that the block raises. It is logged once."""
        try:
            yield
        except KafkaMisconfigured as error:
            self._note(str(error))
            raise

    def _note(self, reason: str) -> None:
        if self.reason != reason:
            logger.error("Kafka refuses what the worker needs", extra={"reason": reason})

        self._reason = reason
        self._until = self._stopwatch() + self._hold_s
