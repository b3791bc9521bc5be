"""How often a mailbox publishes.

Each publication costs seven events. With one for each signal, a flood of signals would fill
a run with publications. So the first ones go out at once, and after those one per interval,
with everything that has come up meanwhile.
"""

from datetime import datetime, timedelta
from typing import Final

PUBLICATIONS_AT_ONCE: Final = 16
INTERVAL: Final = timedelta(seconds=0.5)


class Pace:
    """Allows ``at_once`` publications, and one more each ``INTERVAL``."""

    def __init__(self, at_once: int = PUBLICATIONS_AT_ONCE) -> None:
        self._burst = (at_once - 1) * INTERVAL
        self._all_free_at: datetime | None = None

    def allows(self, now: datetime) -> bool:
        """Tell whether it is time for another publication, and if so, count it."""
        next_turn = self.next_turn()
        if next_turn is not None and now < next_turn:
            return False

        self._all_free_at = max(self._all_free_at or now, now) + INTERVAL
        return True

    def next_turn(self) -> datetime | None:
        """Return when the next publication is allowed, or None if there was none yet."""
        if self._all_free_at is None:
            return None
        return self._all_free_at - self._burst
