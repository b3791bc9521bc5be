"""Tells a workflow together of the checks that it runs side by side.

The end of each local activity is a call into Python, unless another call is under way: then the
next one tells of all that ended meanwhile. A request waits for all of its checks anyway. So the
quick ones keep their answers until siteverify has answered, which takes longest.
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.email_check import EmailActivities
from activities.otp import OtpActivities
from activities.turnstile_check import TurnstileActivities
from workflows.timeouts import LOCAL_TIMEOUT

_SLOW: Final = TurnstileActivities.verify_turnstile_activity.__name__
_QUICK: Final = frozenset(
    {EmailActivities.validate_email_activity.__name__, OtpActivities.generate_otp_activity.__name__}
)
_HOLD_S: Final = LOCAL_TIMEOUT.total_seconds() / 2
"""How long after its begin a quick check has told its answer, whatever siteverify does."""

_MAX_RUNS: Final = 1_000


class SideBySide(Interceptor):
    """Keeps the answers of quick local checks until the slow one of the same run has ended.

    The newest runs are remembered: those that are forgotten are told of each end by itself.
    """

    def __init__(self) -> None:
        self._ends: dict[str, asyncio.Event] = {}

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Return ``next``, kept until the others are done."""
        return _Check(next, self)

    def end_of_slow_check(self, run_id: str) -> asyncio.Event:
        """Return what is set once the slow check of a run has ended."""
        if run_id not in self._ends and len(self._ends) >= _MAX_RUNS:
            del self._ends[next(iter(self._ends))]
        return self._ends.setdefault(run_id, asyncio.Event())


class _Check(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, together: SideBySide) -> None:
        super().__init__(next)
        self._together = together

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """Run the activity. An error is told at once."""
        info = activity.info()
        if not info.is_local or info.activity_type not in _QUICK | {_SLOW}:
            return await self.next.execute_activity(input)

        slow_check_ended = self._together.end_of_slow_check(info.workflow_run_id or "")
        if info.activity_type == _SLOW:
            try:
                return await self.next.execute_activity(input)
            finally:
                slow_check_ended.set()

        tell_at = asyncio.get_running_loop().time() + _HOLD_S
        answer = await self.next.execute_activity(input)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(tell_at):
                await slow_check_ended.wait()
        return answer
