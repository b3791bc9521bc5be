"""This process and Unix: signals, and services that run until a signal comes."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, NoReturn, TypeVar

from consumers.polling.racing import finishes_before

logger = logging.getLogger(__name__)

_MIN_WAIT_S = 0.5
_MAX_WAIT_S = 10.0
CLOSE_TIMEOUT_S: Final = 0.5
_GC_THRESHOLDS = (10_000, 10, 5)
_KILLED = 128 + signal.SIGTERM
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_T = TypeVar("_T")


class StopRequested(Exception):
    """Raised when the process is asked to stop while it waits for something."""


class ServiceEndedEarly(Exception):
    """Raised when a service ends that should run until it is stopped."""


class Service(NamedTuple):
    """Something that runs until it is stopped. ``stop`` may return at once or be awaited."""

    name: str
    run: Callable[[], Awaitable[None]]
    stop: Callable[[], Awaitable[None] | None]


def exit_now(code: str | int | None, exit: Callable[[int], NoReturn] = os._exit) -> NoReturn:
    """Flush all output and end the process at once: the threads of Temporal's SDK can crash an orderly exit.

    https://github.com/temporalio/sdk-python/issues/300
    """
    logging.shutdown()
    sys.stdout.flush()
    exit(code if isinstance(code, int) else os.EX_OK)


def end_on_sigterm() -> None:
    """Let SIGTERM end the process at once with 143, which it does not do by itself to the first one of a container."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(_KILLED))


def reduce_garbage_collection() -> None:
    """Never scan existing objects again, and scan new ones less often.

    Modules and settings stay for ever, and nearly all objects of a sign-in are freed with
    their last reference. Looking for cycles at the default rate took a twentieth of the
    worker's CPU (docs/adr/0018). Only a workflow that leaves the cache, some 500 objects,
    needs the collector; it scans everything once per thousand of those.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # or the oldest generation would wait until it has a quarter as many objects as are frozen
    gc.set_threshold(*_GC_THRESHOLDS)


async def close_briefly(close: Callable[[], Awaitable[object]]) -> None:
    """Close something, but wait no longer than ``CLOSE_TIMEOUT_S``, because the other side may be away."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await close()


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM or SIGINT sets. A second signal ends the process at once with 143.

    A signal that arrived earlier counts if it was blocked until now. Linux drops signals
    for which the first process of a container has no handler: without the block, which the
    image's entry point sets, a stop during the imports is lost.
    """
    stop = asyncio.Event()

    def on_signal(number: int) -> None:
        if stop.is_set():
            os._exit(_KILLED)
        logger.info("asked to stop", extra={"signal": signal.Signals(number).name})
        stop.set()

    for number in _STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)

    return stop


async def wait_until_available(
    dependency: str,
    attempt: Callable[[], Awaitable[_T]],
    unavailable: tuple[type[Exception], ...],
    stop: asyncio.Event,
) -> _T:
    """Return what ``attempt`` returns, and try again while it raises ``unavailable``.

    Raises ``StopRequested``. An attempt that still runs then is cancelled.
    """
    wait_s = _MIN_WAIT_S

    while not stop.is_set():
        attempting = asyncio.ensure_future(attempt())
        try:
            if await finishes_before(attempting, stop):
                return attempting.result()
        except unavailable as error:
            logger.warning(
                "waiting for a dependency",
                extra={"dependency": dependency, "reason": str(error)},
            )
        finally:
            attempting.cancel()

        try:
            await asyncio.wait_for(stop.wait(), wait_s)
        except TimeoutError:
            wait_s = min(wait_s * 2, _MAX_WAIT_S)

    raise StopRequested


async def supervise(services: Sequence[Service], stop: asyncio.Event, within_s: float) -> None:
    """Run all services until ``stop`` is set or one of them ends, then stop the others together.

    A service that does not stop within ``within_s`` is cancelled, and that is no error:
    Temporal can hang as well as be away, and the next process repeats whatever was not
    finished. Raises what a service raised, or ``ServiceEndedEarly`` if one ended by itself.
    """
    tasks = {service.name: asyncio.ensure_future(service.run()) for service in services}
    stop_requested = asyncio.ensure_future(stop.wait())

    try:
        await asyncio.wait({stop_requested, *tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
        ended_early = [name for name, task in tasks.items() if task.done()]
        running = [service for service in services if service.name not in ended_early]
        await _stop_all(running, list(tasks.values()), within_s)
    finally:
        for task in (stop_requested, *tasks.values()):
            task.cancel()

    for name, task in tasks.items():
        _raise_its_error(name, task)
    if ended_early:
        raise ServiceEndedEarly(ended_early[0])


def _raise_its_error(name: str, task: asyncio.Future[None]) -> None:
    # A client that cancels its own tasks can leak the cancellation, as aiokafka does with
    # its brokers away.
    if task.done() and not task.cancelled():
        task.result()
    else:
        logger.warning("a service was cut short", extra={"service": name})


async def _stop_all(services: Sequence[Service], tasks: Sequence[asyncio.Future[None]], within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s) as limit:
            await asyncio.gather(*map(_stop, services))
            await asyncio.wait(tasks)
    except TimeoutError:
        if not limit.expired():
            raise


async def _stop(service: Service) -> None:
    stopping = service.stop()
    if stopping is not None:
        await stopping
