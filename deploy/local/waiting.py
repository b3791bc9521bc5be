"""Waiting for a condition, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from deploy.local.places import StackError

_POLL_S: Final = 0.05
T = TypeVar("T")


def wait_for(is_ready: Callable[[], bool], name: str, *, within_s: float) -> None:
    """Wait until ``is_ready`` returns true. Raises ``StackError`` with ``name`` when time is up."""
    deadline = time.monotonic() + within_s

    while not is_ready():
        if time.monotonic() > deadline:
            raise StackError(f"{name} was not ready within {within_s:g} s.")
        time.sleep(_POLL_S)


async def eventually(ask: Callable[[], Awaitable[T | None]], what: str, *, within_s: float) -> T:
    """Call ``ask`` until it returns something true, and return that. Raises ``TimeoutError`` with ``what``."""
    deadline = time.monotonic() + within_s

    while not (answer := await ask()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within_s:g} s")
        await asyncio.sleep(_POLL_S)

    return answer


def run_in_thread(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end. Unlike ``asyncio.run``, this also works inside a running event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
