"""This process as Unix sees it: signals, and services that run until one comes."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, NoReturn, TypeVar

logger = logging.getLogger(__name__)

_SHORTEST_WAIT_S = 0.5
_LONGEST_WAIT_S = 10.0
_LONGEST_CLOSE_S = 1.0
_GC_THRESHOLDS = (10_000, 10, 5)
_KILLED = 128 + signal.SIGTERM
_STOPPING = (signal.SIGTERM, signal.SIGINT)
_T = TypeVar("_T")


class StopRequested(Exception):
    """Raised when the process was asked to stop while it waited for something."""


class ServiceEndedEarly(Exception):
    """Raised when a service ended that should run until it is stopped."""


class Service(NamedTuple):
    """Something that runs until it is stopped, at once or in a while."""

    name: str
    run: Callable[[], Awaitable[None]]
    stop: Callable[[], Awaitable[None] | None]


def exit_now(code: str | int | None, exit: Callable[[int], NoReturn] = os._exit) -> NoReturn:
    """End the process at once, with all that was written: the SDK's threads can crash an orderly exit.

    https://github.com/temporalio/sdk-python/issues/300
    """
    logging.shutdown()
    sys.stdout.flush()
    exit(code if isinstance(code, int) else os.EX_OK)


def reduce_garbage_collection() -> None:
    """Never look again at what is there by now, and look less often at what is new.

    Modules and settings stay for ever, and nearly all objects of a sign-in are gone with their last reference. Looking
    for cycles as often as by default took a twentieth of the worker's CPU (docs/adr/0018). What is not gone by itself
    is a workflow that leaves the cache, some 500 objects: all are looked at for every thousand of those.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # else the oldest would wait until there are a quarter as many as are frozen
    gc.set_threshold(*_GC_THRESHOLDS)


async def close_briefly(close: Callable[[], Awaitable[object]]) -> None:
    """Close something, but wait for it no longer than a moment: the other side may be away."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST_CLOSE_S):
            await close()


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM or SIGINT sets. The second of them ends the process at once, with 143.

    A signal that came earlier counts, if it was blocked until now. Linux drops what the first process of a container
    has no handler for: without the block (the image's entry point sets it) a stop during the imports is lost.
    """
    stop = asyncio.Event()

    def on_signal(number: int) -> None:
        if stop.is_set():
            os._exit(_KILLED)
        logger.info("asked to stop", extra={"signal": signal.Signals(number).name})
        stop.set()

    for number in _STOPPING:
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    return stop


async def wait_until_available(
    what: str, attempt: Callable[[], Awaitable[_T]], unavailable: tuple[type[Exception], ...], stop: asyncio.Event
) -> _T:
    """Return what ``attempt`` returns, trying again while it raises ``unavailable``. Raises ``StopRequested``."""
    wait_s = _SHORTEST_WAIT_S
    while not stop.is_set():
        try:
            return await attempt()
        except unavailable as error:
            logger.warning("waiting for a dependency", extra={"dependency": what, "reason": str(error)})
        try:
            await asyncio.wait_for(stop.wait(), wait_s)
        except TimeoutError:
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
    raise StopRequested


async def supervise(services: Sequence[Service], stop: asyncio.Event, within_s: float) -> None:
    """Run all until ``stop`` is set or one of them ends, then stop them side by side, within ``within_s``.

    What does not stop in time is cut short, and that is no error: Temporal can hang as well as be away, and all that
    was not finished is done again by the next process. Raises what a service raised, or
    ``ServiceEndedEarly`` if one ended by itself.
    """
    tasks = {service.name: asyncio.ensure_future(service.run()) for service in services}
    asked = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({asked, *tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
        early = [name for name, task in tasks.items() if task.done()]
        await _stop_all([service for service in services if service.name not in early], tasks.values(), within_s)
    finally:
        for task in (asked, *tasks.values()):
            task.cancel()
    for name, task in tasks.items():
        # A client that ends its own tasks can let their cancellation out (aiokafka does, with its brokers away).
        if task.done() and not task.cancelled():
            task.result()
        else:
            logger.warning("a service was cut short", extra={"service": name})
    if early:
        raise ServiceEndedEarly(early[0])


async def _stop_all(services: Sequence[Service], tasks: Iterable[asyncio.Future[None]], within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s) as limit:
            await asyncio.gather(*map(_stopped, services))
            await asyncio.wait(tasks)
    except TimeoutError:
        if not limit.expired():
            raise


async def _stopped(service: Service) -> None:
    stopping = service.stop()
    if stopping is not None:
        await stopping
