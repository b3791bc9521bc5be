"""Waiting for a condition, never for a time."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], deadline_s: float = 10.0) -> None:
    """Return once ``condition`` holds; looked at again whenever others had their turn. Raises ``TimeoutError``."""
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.001)
