"""Floods of submissions without a sign-in: whoever knows an address can send them, at any rate."""

import asyncio
import time
from typing import Final

from schemas.mailbox import MailboxStatus
from tests.faults.upstream import new_signin_id
from tests.redteam.attack import Attack, Count
from tests.redteam.dump import mailbox_runs
from tests.redteam.scene import Scene, wrong_codes
from workflows.names import STATUS_QUERY

_PER_SECOND: Final = 60
_FAILURES: Final = 3
_MAX_EVENTS: Final = 10_000
_BOUND: Final = "2,000 events in a run, and what comes in while a mail is being sent"


async def flood_with_junk(scene: Scene) -> list[Count]:
    """Spend some failures, send junk for minutes, and look whether the failures are forgotten."""
    victim = scene.address()
    signin_id, code = await scene.request_code(victim)
    await scene.submit_all(signin_id, victim, wrong_codes(code, _FAILURES))
    await scene.wait_for_results([signin_id], 1 + _FAILURES)

    await _send_junk(scene, victim)
    await scene.wait_until_done()
    runs = await mailbox_runs(scene, victim)
    events = [(await run.describe()).history_length for run in runs]
    mailbox = scene.stage.temporal.get_workflow_handle(runs[0].id)
    status = await mailbox.query(STATUS_QUERY, result_type=MailboxStatus)

    return [
        Count(
            tried=f"submissions without a sign-in, {_PER_SECOND} a second",
            tries=scene.size.junk,
            through=max(events),
            what=f"events in the longest of {len(events)} runs; a server ends a run at 51,200",
            at_most=_MAX_EVENTS,
            bound=_BOUND,
        ),
        Count(
            tried="the same",
            tries=scene.size.junk,
            through=_FAILURES - status.failures_last_day,
            what=f"of {_FAILURES} failures forgotten",
            at_most=0,
            bound="none",
        ),
    ]


async def _send_junk(scene: Scene, address: str) -> None:
    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(scene.size.junk):
            await asyncio.sleep(max(0, begun + number / _PER_SECOND - time.monotonic()))
            group.create_task(scene.submit(new_signin_id(), address, "1"))


ATTACKS = (Attack("junk-submissions", "S4", flood_with_junk, short=True),)
