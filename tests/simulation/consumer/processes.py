"""Processes that can be killed and frozen: groups of tasks that share a context variable."""

import asyncio
from collections import deque
from contextvars import Context, ContextVar, copy_context
from typing import Any

_process: ContextVar["Process | None"] = ContextVar("process", default=None)


class Process:
    """Everything that was started in ``context``: tasks, timers and callbacks inherit it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.runs = True
        self.context: Context = copy_context()
        self.context.run(_process.set, self)
        self._is_dead = False
        self._held: deque[asyncio.Handle] = deque()

    @property
    def is_dead(self) -> bool:
        """Whether it was killed."""
        return self._is_dead

    def kill(self) -> None:
        """Run nothing of it any more, not even what cleans up."""
        self._is_dead = True
        self.runs = False
        self._held.clear()

    def freeze(self) -> None:
        """Run nothing of it until ``thaw``."""
        self.runs = False

    def thaw(self) -> deque[asyncio.Handle]:
        """Run it again, and return what was held back."""
        held = self._held
        self._held = deque()
        self.runs = not self._is_dead

        return held

    def hold(self, handle: asyncio.Handle) -> None:
        """Keep a callback that became ready while nothing of the process runs."""
        if not self._is_dead:
            self._held.append(handle)


def process_of(handle: asyncio.Handle) -> Process | None:
    """Return the process that a callback belongs to."""
    context: Any = handle._context  # type: ignore[attr-defined] # private in asyncio
    found: Process | None = context.get(_process)
    return found


def current_process() -> Process | None:
    """Return the process that runs now."""
    return _process.get()
