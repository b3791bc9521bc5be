"""Runs workflow code on the event loop's own thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class InlineExecutor(ThreadPoolExecutor):
    """Runs each call in the next turn of the running event loop, where the SDK would use a thread (docs/adr/0041).

    It is a ``ThreadPoolExecutor`` because the SDK's ``Worker`` takes no other; it starts no
    thread. Calls must be short: the whole process waits for them. The SDK's deadlock detection,
    which fails a workflow task after two seconds in a thread, notices nothing; what never ends
    stops ``/livez``.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1)

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Return the future of a call. Raises ``RuntimeError`` where no event loop runs.

        The call begins after the current step of the current task, because Python enters no
        task within another of the same thread. A workflow is an event loop of its own and, at its
        end, leaves the thread without a running one: that is set right.
        """
        loop = asyncio.get_running_loop()
        future: Future[_T] = Future()

        def run() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # whoever waits for it decides
                _set_running(loop)
                future.set_exception(error)
            else:
                _set_running(loop)
                future.set_result(result)

        loop.call_soon(run)
        return future


def _set_running(loop: asyncio.AbstractEventLoop) -> None:
    asyncio._set_running_loop(loop)
