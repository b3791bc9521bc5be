"""Waiting for whichever comes first."""

import asyncio
from typing import Any


async def ends_before(event: asyncio.Event, work: asyncio.Future[Any]) -> bool:
    """Wait for both, and tell whether ``work`` has ended; if it has not, it goes on by itself."""
    happening = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({work, happening}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        happening.cancel()
    return work.done()


async def happens_within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for the event, but no longer than that, and tell whether it has happened."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
