"""Signs of life from activities, so that Temporal notices soon when their worker is dead."""

import asyncio
from datetime import timedelta
from typing import Any, Final

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

_HEARTBEATS_PER_TIMEOUT: Final = 4
"""So three in a row may be lost or late."""


def heartbeat_interval(timeout: timedelta) -> timedelta:
    """Return how long to wait between two heartbeats."""
    return timeout / _HEARTBEATS_PER_TIMEOUT


class Heartbeats(Interceptor):
    """Reports activities that have a heartbeat timeout as alive. Those that are quick end before the first report."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Return ``next`` with heartbeats beside it."""
        return _LivingActivity(next)


class _LivingActivity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """Run the activity. Its heartbeats come from its event loop: while that stands still, there are none."""
        timeout = activity.info().heartbeat_timeout
        if timeout is None:
            return await self.next.execute_activity(input)

        beating = asyncio.create_task(_beat(heartbeat_interval(timeout)))
        try:
            return await self.next.execute_activity(input)
        finally:
            beating.cancel()


async def _beat(interval: timedelta) -> None:
    while True:
        await asyncio.sleep(interval.total_seconds())
        activity.heartbeat()
