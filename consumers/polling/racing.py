"""Wait for whichever comes first: a task, an event, or a timeout."""

import asyncio
from typing import Any


async def finishes_before(work: asyncio.Future[Any], event: asyncio.Event) -> bool:
    """Wait for ``work`` or ``event``, and return whether ``work`` is done. It is never cancelled."""
    happening = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({work, happening}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        happening.cancel()

    return work.done()


async def happens_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for ``event`` no longer than ``seconds``, and return whether it happened."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
