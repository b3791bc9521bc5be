"""What it costs the server when a mailbox that lingered comes to its end (P1b).

A day is made short. By the time that mailboxes end, the timers of their codes are long over, so what is measured is
what happens after a day too: a timer fires, a task is done, a workflow ends. That the timer is set is part of P1: it
is set in the task after the last result. What is not in it: after a day a worker may have to read the history again.
"""

import asyncio
import time
from typing import Final

from tests.benchmarks.performance.arena import SERVER, Arena, Way

_LIFETIME_S: Final = 20
_LINGER_S: Final = 45
_PER_S: Final = 12.0
_MARGIN_S: Final = 2.0
_QUIET_S: Final = 8.0
SETTINGS: Final = {
    "SIGNIN_OTP__LIFETIME_S": str(_LIFETIME_S),
    "SIGNIN_OTP__SHORTEST_RESEND_S": "1",
    "SIGNIN_MAX_EVENT_AGE_S": "10",
    "SIGNIN_TIMES__LINGER_S": str(_LINGER_S),
}


async def cost_of_an_end_ms(scene: Arena, way: Way, signins: int) -> float | None:
    """Return the server's CPU for the end of one mailbox, without what it uses when idle, in milliseconds.

    None: the machine was too busy, and the mailboxes did not end when they should have.
    """
    begun, opened_within_s = time.monotonic(), signins / _PER_S
    await way.pace(signins, _PER_S)
    await _until(begun + opened_within_s + _LIFETIME_S + _MARGIN_S)
    before = way.cpu_s()[SERVER]
    await asyncio.sleep(_QUIET_S)
    idle_per_s = (way.cpu_s()[SERVER] - before) / _QUIET_S
    await _until(begun + _LINGER_S - 1)
    open_before, before, since = await _open_mailboxes(scene), way.cpu_s()[SERVER], time.monotonic()
    await _until(begun + opened_within_s + _LINGER_S + _MARGIN_S)
    used_s = way.cpu_s()[SERVER] - before - idle_per_s * (time.monotonic() - since)
    ended = open_before - await _open_mailboxes(scene)
    return used_s / signins * 1e3 if ended == signins else None


async def _open_mailboxes(scene: Arena) -> int:
    query = "WorkflowType = 'verify_otp_workflow' AND ExecutionStatus = 'Running'"
    return (await scene.client.count_workflows(query)).count


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
