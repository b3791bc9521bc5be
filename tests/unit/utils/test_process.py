"""Signals, and services that run until a signal comes."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from utils.process import (
    Service,
    ServiceEndedEarly,
    StopRequested,
    close_briefly,
    exit_now,
    reduce_garbage_collection,
    stop_on_signals,
    supervise,
    wait_until_available,
)

_UNSTOPPABLE = """
import asyncio
from utils.process import stop_on_signals

async def main():
    stop = stop_on_signals()
    print("up", flush=True)
    await stop.wait()
    print("asked", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

_STOPPED_EARLY = """
import asyncio, os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.kill(os.getpid(), signal.SIGTERM)
from utils.process import stop_on_signals

async def main():
    await stop_on_signals().wait()
    print("asked", flush=True)

asyncio.run(main())
"""


class Away(Exception):
    """Raised while the dependency is not available."""


class FakeService:
    """Runs until it is stopped, raises, or ends by itself."""

    def __init__(self, name: str = "s", stubborn: bool = False) -> None:
        self.name = name
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.running = asyncio.Event()
        self._stubborn = stubborn
        self.stops = 0

    async def run(self) -> None:
        """Run."""
        self.running.set()
        await self.end

    async def stop(self) -> None:
        """Stop, unless stubborn."""
        self.stops += 1
        if not self._stubborn and not self.end.done():
            self.end.set_result(None)

    def service(self) -> Service:
        """Return it as ``supervise`` takes it."""
        return Service(self.name, self.run, self.stop)


async def test_closing_gives_up_after_a_moment() -> None:
    """Something that cannot be closed is abandoned."""
    await close_briefly(asyncio.Event().wait)


async def test_the_first_signal_requests_a_stop() -> None:
    """SIGTERM sets the event and does nothing else."""
    stop = stop_on_signals()

    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(stop.wait(), 5)


def test_a_blocked_signal_counts() -> None:
    """A SIGTERM that arrived before there was a handler requests a stop once there is one."""
    done = subprocess.run([sys.executable, "-c", _STOPPED_EARLY], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "asked\n")


def test_the_second_signal_ends_the_process_at_once() -> None:
    """A second SIGTERM ends a process that does not stop, with 143."""
    with subprocess.Popen([sys.executable, "-c", _UNSTOPPABLE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"

        process.send_signal(signal.SIGTERM)

        assert process.stdout.readline() == "asked\n"

        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 143


@pytest.mark.parametrize(("code", "status"), [(69, 69), (None, 0), (0, 0)])
def test_the_exit_code_is_kept(code: int | None, status: int) -> None:
    """The process ends with the given code. No code means success, as with ``sys.exit``."""
    with pytest.raises(SystemExit) as left:
        exit_now(code, sys.exit)

    assert left.value.code == status


async def test_a_dependency_is_retried_until_it_is_available() -> None:
    """The attempt is repeated until it succeeds, and its result is returned."""
    answers = [Away(), None]

    async def attempt() -> str:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return "there"

    assert await wait_until_available("it", attempt, (Away,), asyncio.Event()) == "there"
    assert answers == []


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_stop_ends_the_wait(hangs: bool) -> None:
    """A process that is asked to stop waits for no dependency, not even where a network swallows its packets."""
    stop = asyncio.Event()

    async def attempt() -> None:
        stop.set()
        if hangs:
            await asyncio.Event().wait()
        raise Away

    with pytest.raises(StopRequested):
        await asyncio.wait_for(wait_until_available("it", attempt, (Away,), stop), 5)


async def test_services_run_until_they_are_stopped() -> None:
    """All services run side by side, and each is stopped once."""
    stop = asyncio.Event()
    services = [FakeService("a"), FakeService("b")]
    supervising = asyncio.ensure_future(supervise([each.service() for each in services], stop, 5))
    for each in services:
        await asyncio.wait_for(each.running.wait(), 5)

    assert not supervising.done()

    stop.set()
    await asyncio.wait_for(supervising, 5)

    assert [each.stops for each in services] == [1, 1]


async def test_one_failure_stops_the_others_and_is_raised() -> None:
    """A failed service stops the others, since a worker without its consumer is of no use."""
    services = [FakeService("a"), FakeService("b")]
    services[0].end.set_exception(ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        await supervise([each.service() for each in services], asyncio.Event(), 5)

    assert [each.stops for each in services] == [0, 1]


async def test_a_leaked_cancellation_is_an_error_only_before_the_stop() -> None:
    """During the stop, a service may leak the cancellation of its own tasks, as aiokafka's does."""
    leaky = FakeService()
    leaky.end.cancel()

    with pytest.raises(ServiceEndedEarly):
        await supervise([leaky.service()], asyncio.Event(), 5)

    stop = asyncio.Event()
    stop.set()
    other = FakeService()

    async def leak() -> None:
        other.end.cancel()

    await supervise([Service("s", other.run, leak)], stop, 5)


async def test_an_early_end_is_an_error() -> None:
    """A service that returns by itself raises ``ServiceEndedEarly`` with its name."""
    ended = FakeService("a")
    other = FakeService("b")
    ended.end.set_result(None)

    with pytest.raises(ServiceEndedEarly, match="a"):
        await supervise([ended.service(), other.service()], asyncio.Event(), 5)


async def test_a_service_that_does_not_stop_is_abandoned(caplog: pytest.LogCaptureFixture) -> None:
    """The time to stop is bounded. Running out of it is a clean end, because a Temporal that hangs is not our fault."""
    stop = asyncio.Event()
    stop.set()
    stubborn = FakeService("hung", stubborn=True)

    await supervise([stubborn.service()], stop, 0.01)

    assert [(each.message, vars(each)["service"]) for each in caplog.records] == [("a service was cut short", "hung")]


async def test_a_bug_is_raised_even_if_another_service_does_not_stop() -> None:
    """A service's error is raised, however long the others take to stop."""
    broken = FakeService("a")
    stubborn = FakeService("b", stubborn=True)
    broken.end.set_exception(ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        await supervise([broken.service(), stubborn.service()], asyncio.Event(), 0.01)


async def test_a_timeout_inside_a_stop_is_a_bug() -> None:
    """Only the time that all services share may run out; any other ``TimeoutError`` is raised."""
    stop = asyncio.Event()
    stop.set()
    service = FakeService()

    async def broken_stop() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await supervise([Service("s", service.run, broken_stop)], stop, 60)


@pytest.fixture
def collector() -> Iterator[None]:
    """Restore the garbage collector afterwards."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_existing_objects_are_not_scanned_again() -> None:
    """Existing objects are frozen; cycles among later ones are still freed, so memory stays flat."""
    gc.set_threshold(700, 10, 10)
    reduce_garbage_collection()

    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] > 700

    gone = weakref.ref(Cycle())
    assert is_found_within(10 * gc.get_threshold()[0], gone)


@pytest.mark.usefixtures("collector")
def test_a_cycle_of_the_oldest_generation_is_freed() -> None:
    """A workflow that leaves the cache is such a cycle, and a thousand of them must not pile up."""
    reduce_garbage_collection()
    cycle = Cycle()
    gone = weakref.ref(cycle)
    gc.collect()  # moves it to the oldest generation
    del cycle

    assert is_found_within(1_000_000, gone)


def is_found_within(objects: int, gone: "weakref.ref[Cycle]") -> bool:
    """Tell whether an unreachable cycle is freed before so many objects are created."""
    kept: list[list[int]] = []
    while gone() is not None and len(kept) < objects:
        kept.append([])

    return gone() is None


class Cycle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self
