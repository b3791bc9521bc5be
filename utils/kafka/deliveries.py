"""What a producer's deliveries of late say about it."""

import time
from typing import Final

from consumers.ports import Stopwatch

_SILENT_TIMEOUTS: Final = 1.5
"""So many timeouts of silence: one record alone may time out for a reason of its own, such as a missing topic."""
_FORGET_S: Final = 60.0
"""After this, a failure says nothing any more: nobody has tried to send since."""


class DeliveryRecord:
    """Whether what was sent of late has been acknowledged."""

    def __init__(self, timeout_s: float, stopwatch: Stopwatch = time.monotonic) -> None:
        self._timeout_s = timeout_s
        self._stopwatch = stopwatch
        self._heard_at = stopwatch()
        self._failing_since: float | None = None
        self._failed_at = 0.0

    @property
    def is_silent(self) -> bool:
        """Whether the producer has acknowledged nothing for longer than one record may take."""
        return self._stopwatch() - self._heard_at >= _SILENT_TIMEOUTS * self._timeout_s

    @property
    def delivers(self) -> bool:
        """Whether records are acknowledged, as far as is known."""
        if self._failing_since is None or self._stopwatch() - self._failed_at > _FORGET_S:
            return True
        return self._failed_at - self._failing_since < self._timeout_s

    def begin(self) -> None:
        """Note that a producer has connected."""
        self._heard_at = self._stopwatch()

    def success(self) -> None:
        """Note an acknowledgement."""
        self._heard_at = self._stopwatch()
        self._failing_since = None

    def failure(self) -> None:
        """Note a record that was not acknowledged."""
        self._failed_at = self._stopwatch()
        if self._failing_since is None:
            self._failing_since = self._failed_at
