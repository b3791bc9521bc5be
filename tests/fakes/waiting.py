"""Wait for a condition instead of a time."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], deadline_s: float = 10.0) -> None:
    """Wait until ``condition`` holds. Raises ``TimeoutError`` after ``deadline_s``."""
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.001)
