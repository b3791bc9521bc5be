"""Timers that wake a workflow at its next deadline."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from temporalio import workflow


class WakeUpTimers:
    """The running timers, each of which calls ``wake``. The one that was started last fires first.

    None is ever cancelled. One that fires early costs a workflow task; one that is cancelled has
    been paid for, and so is the one in its place. Where a mailbox is used again and again, the long
    timer of its last use is there already.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._running: dict[datetime, asyncio.Task[None]] = {}

    def set(self, deadline: datetime) -> None:
        """Make sure that a timer fires at ``deadline`` or before."""
        if all(deadline < fires_at for fires_at in self._running):
            self._running[deadline] = asyncio.create_task(self._wake_at(deadline))

    async def _wake_at(self, deadline: datetime) -> None:
        await workflow.sleep(deadline - workflow.now())
        del self._running[deadline]
        self._wake()
