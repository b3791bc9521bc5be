"""Waiting for a condition, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from deploy.local.places import StackError

_PAUSE_S: Final = 0.05
T = TypeVar("T")


def wait_for(ready: Callable[[], bool], what: str, *, within_s: float) -> None:
    """Ask ``ready`` until it says yes. Raises ``StackError``, which names ``what``, when time is up."""
    deadline = time.monotonic() + within_s
    while not ready():
        if time.monotonic() > deadline:
            raise StackError(f"{what} was not ready within {within_s:g} s.")
        time.sleep(_PAUSE_S)


async def eventually(ask: Callable[[], Awaitable[T | None]], what: str, *, within_s: float) -> T:
    """Ask until the answer is something. Raises ``TimeoutError``, which names ``what``, when time is up."""
    deadline = time.monotonic() + within_s
    while not (answer := await ask()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within_s:g} s")
        await asyncio.sleep(_PAUSE_S)
    return answer
