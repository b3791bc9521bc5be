"""A timer that wakes a workflow at its next deadline."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow

_MAX_EARLY = timedelta(hours=1)


class WakeUpTimer:
    """At most one running timer, which calls ``wake``."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._timer: asyncio.Task[None] | None = None
        self._fires_at: datetime | None = None

    def set(self, deadline: datetime) -> None:
        """Make sure that the timer fires at ``deadline``, or up to an hour before.

        A timer that fires early costs less than a new one, unless the wait is long.
        """
        if self._is_running and self._fires_in_time(deadline):
            return

        if self._timer is not None:
            self._timer.cancel()
        self._fires_at = deadline
        self._timer = asyncio.create_task(self._wake_in(deadline - workflow.now()))

    @property
    def _is_running(self) -> bool:
        return self._timer is not None and not self._timer.done()

    def _fires_in_time(self, deadline: datetime) -> bool:
        return self._fires_at is not None and self._fires_at <= deadline < self._fires_at + _MAX_EARLY

    async def _wake_in(self, pause: timedelta) -> None:
        await workflow.sleep(pause)
        self._wake()
