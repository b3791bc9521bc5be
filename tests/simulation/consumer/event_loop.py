"""An event loop without a selector: virtual time, no sockets, and the order of what is ready comes from a seed.

Callbacks that one callback scheduled keep their order, as asyncio promises. Those of different callbacks may overtake
each other, as they do when answers arrive from the network in another order.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from itertools import count
from typing import Any, Final, Protocol

from tests.simulation.consumer.processes import process_of

_STEP_S: Final = 20e-6
"""What one callback takes. Without it, time would stand still while anything is ready."""

_MAX_CANCELLED: Final = 100
"""Cancelled timers that are kept, because each removal costs time."""


class Connect(Protocol):
    """Opens a simulated connection."""

    async def __call__(self, protocol: asyncio.BaseProtocol, host: str, port: int) -> asyncio.Transport:
        """Return the transport. Raises ``OSError``."""
        ...


class Deadlock(Exception):
    """Raised when nothing is ready and no timer runs."""


class _Numbered:
    """Hashes by a running number. By address, the order of sets would differ from run to run."""

    _number: int

    def __hash__(self) -> int:
        return self._number


class NumberedFuture(_Numbered, asyncio.Future[Any]):
    """A future with a number."""


class NumberedTask(_Numbered, asyncio.Task[Any]):
    """A task with a number."""

    def __init__(
        self,
        number: int,
        work: Coroutine[Any, Any, Any],
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> None:
        self._number = number
        super().__init__(work, loop=loop, context=context)


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs one callback at a time. ``disorder``: how often a callback other than the first that is ready is next."""

    connect: Connect

    def __init__(self, rng: random.Random, disorder: float = 0.0) -> None:
        super().__init__()
        self._rng = rng
        self._disorder = disorder
        self._now = 0.0
        self._numbers = count(1)
        self._tasks: list[NumberedTask] = []
        self._families: list[deque[asyncio.Handle]] = []
        self._ready: deque[asyncio.Handle]
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_cancelled_count: int
        self._stopping: bool
        self.set_task_factory(self._new_task)

    def time(self) -> float:
        """Return the virtual time, in seconds since the loop began."""
        return self._now

    def call_soon(  # type: ignore[override] # only what the real clients pass
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Call back as soon as possible. As asyncio does it, without its checks."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override] # only what the real clients pass
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back at a time. Timers of the same time are due in the order in which they were started."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        timer._scheduled = True  # type: ignore[attr-defined] # private in asyncio
        return timer

    def call_later(  # type: ignore[override] # only what the real clients pass
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back after so many seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future with a number."""
        future = NumberedFuture(loop=self)
        future._number = next(self._numbers)
        return future

    async def create_connection(  # type: ignore[override] # only what the real clients pass
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, **_options: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Open a simulated connection."""
        protocol = protocol_factory()
        return await self.connect(protocol, host, port), protocol

    def run_in_executor(  # type: ignore[override] # only what the real clients pass
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run the function at once: a thread would not be deterministic."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)

        return future

    def put_back(self, handles: deque[asyncio.Handle]) -> None:
        """Make ready what was held back."""
        if handles:
            self._families.append(handles)

    def forget_tasks(self) -> None:
        """Let go of all tasks. Until then they are kept: one that is forgotten early would run its cleanup."""
        for task in self._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined] # private in asyncio
        self._tasks.clear()
        self._timers.clear()
        self._families.clear()

    def _new_task(
        self,
        _loop: asyncio.AbstractEventLoop,
        work: Any,
        context: Context | None = None,
        **_others: Any,  # since Python 3.14 a name, and whether to start at once
    ) -> asyncio.Task[Any]:
        task = NumberedTask(next(self._numbers), work, self, context)
        self._tasks.append(task)
        return task

    def _write_to_self(self) -> None:
        """There is no selector to wake."""

    def _process_events(self, event_list: Any) -> None:
        """There are no events of a selector."""

    def _run_once(self) -> None:
        """Run callbacks until the loop is to stop. It is the innermost loop of all: hence no functions of its own."""
        families = self._families

        while True:
            if self._ready:
                families.append(self._ready)  # what one callback made ready stays together
                self._ready = deque()
            if self._timer_cancelled_count > _MAX_CANCELLED:
                self._forget_cancelled_timers()
            if not families:
                self._wait_for_a_timer()
            timers = self._timers
            while timers and timers[0][0] <= self._now:
                timer = heapq.heappop(timers)[-1]
                timer._scheduled = False  # type: ignore[attr-defined] # private in asyncio
                families.append(deque((timer,)))

            handle = self._next_handle() if len(families) > 1 else self._only_handle()
            if not handle._cancelled:
                self._run(handle)
            if self._stopping:
                return

    def _run(self, handle: asyncio.Handle) -> None:
        """Run a callback, unless its process does not run."""
        process = process_of(handle)
        if process is None or process.runs:
            handle._run()
            self._now += _STEP_S
        else:
            process.hold(handle)

    def _forget_cancelled_timers(self) -> None:
        self._timers = [each for each in self._timers if not each[-1].cancelled()]
        heapq.heapify(self._timers)
        self._timer_cancelled_count = 0

    def _wait_for_a_timer(self) -> None:
        """Let time pass until the next timer."""
        timers = self._timers
        while timers and timers[0][-1].cancelled():
            heapq.heappop(timers)[-1]._scheduled = False  # type: ignore[attr-defined] # private in asyncio
        if not timers:
            raise Deadlock

        self._now = max(self._now, timers[0][0])

    def _only_handle(self) -> asyncio.Handle:
        (family,) = self._families
        handle = family.popleft()
        if not family:
            self._families.clear()

        return handle

    def _next_handle(self) -> asyncio.Handle:
        families = self._families
        index = 0
        if self._disorder and self._rng.random() < self._disorder:
            index = self._rng.randrange(len(families))

        family = families[index]
        handle = family.popleft()
        if not family:
            del families[index]

        return handle
