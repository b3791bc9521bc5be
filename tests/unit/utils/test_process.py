"""Signals, and services that run until one comes."""

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
    ServiceEndedEarly,
    Service,
    StopRequested,
    close_briefly,
    reduce_garbage_collection,
    exit_now,
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
    """Raised when the thing is not there."""


class FakeService:
    """Runs until it is stopped, or until it raises or ends by itself."""

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
        """Return what ``supervise`` takes."""
        return Service(self.name, self.run, self.stop)


async def test_closing_is_brief() -> None:
    """What cannot be closed is left."""
    await close_briefly(asyncio.Event().wait)


async def test_first_signal_asks_to_stop() -> None:
    """SIGTERM sets the event and nothing else."""
    stop = stop_on_signals()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(stop.wait(), 5)


def test_a_signal_that_was_blocked_counts() -> None:
    """SIGTERM that came before there was a handler asks to stop once there is one."""
    done = subprocess.run([sys.executable, "-c", _STOPPED_EARLY], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "asked\n")


def test_second_signal_ends_at_once() -> None:
    """A process that does not stop in time can be ended, with 143."""
    with subprocess.Popen([sys.executable, "-c", _UNSTOPPABLE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143


@pytest.mark.parametrize(("code", "status"), [(69, 69), (None, 0), (0, 0)])
def test_leaving_takes_the_code_along(code: int | None, status: int) -> None:
    """No code is success, as with ``sys.exit``."""
    with pytest.raises(SystemExit) as left:
        exit_now(code, sys.exit)
    assert left.value.code == status


async def test_waits_until_available() -> None:
    """What is away is asked for again until it answers."""
    answers = [Away(), None]

    async def attempt() -> str:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return "there"

    assert await wait_until_available("it", attempt, (Away,), asyncio.Event()) == "there"
    assert answers == []


async def test_stop_ends_the_wait() -> None:
    """Nobody waits for a dependency once the process is asked to stop."""
    stop = asyncio.Event()

    async def attempt() -> None:
        stop.set()
        raise Away

    with pytest.raises(StopRequested):
        await wait_until_available("it", attempt, (Away,), stop)


async def test_services_run_until_stop() -> None:
    """All run side by side, and all are stopped."""
    stop, services = asyncio.Event(), [FakeService("a"), FakeService("b")]
    supervising = asyncio.ensure_future(supervise([each.service() for each in services], stop, 5))
    for each in services:
        await asyncio.wait_for(each.running.wait(), 5)

    assert not supervising.done()

    stop.set()
    await asyncio.wait_for(supervising, 5)

    assert [each.stops for each in services] == [1, 1]


async def test_one_failure_stops_the_others_and_is_raised() -> None:
    """A worker without its consumer would be half alive."""
    services = [FakeService("a"), FakeService("b")]
    services[0].end.set_exception(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await supervise([each.service() for each in services], asyncio.Event(), 5)
    assert [each.stops for each in services] == [0, 1]


async def test_a_cancellation_that_leaks_at_the_end_is_no_error() -> None:
    """What aiokafka's stop raises can be the cancellation of its own tasks."""
    stop, leaky = asyncio.Event(), FakeService()
    stop.set()
    leaky.end.cancel()

    with pytest.raises(ServiceEndedEarly):
        await supervise([leaky.service()], asyncio.Event(), 5)

    other = FakeService()

    async def cut_short() -> None:
        other.end.cancel()

    await supervise([Service("s", other.run, cut_short)], stop, 5)


async def test_an_early_end_is_an_error() -> None:
    """A service that returns by itself has lost its way."""
    ended, other = FakeService("a"), FakeService("b")
    ended.end.set_result(None)
    with pytest.raises(ServiceEndedEarly, match="a"):
        await supervise([ended.service(), other.service()], asyncio.Event(), 5)


async def test_a_service_that_does_not_stop_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """The time to stop is bounded. A Temporal that hangs is no fault of this process, so that is a clean end."""
    stop, stubborn = asyncio.Event(), FakeService("hung", stubborn=True)
    stop.set()
    await supervise([stubborn.service()], stop, 0.01)
    assert [(each.message, vars(each)["service"]) for each in caplog.records] == [("a service was cut short", "hung")]


async def test_a_bug_shows_even_if_another_service_does_not_stop() -> None:
    """The reason of the end is what is raised, not that the end took long."""
    broken, stubborn = FakeService("a"), FakeService("b", stubborn=True)
    broken.end.set_exception(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await supervise([broken.service(), stubborn.service()], asyncio.Event(), 0.01)


async def test_a_time_out_inside_a_stop_is_a_bug() -> None:
    """Only the time that all have together may run out."""
    stop, service = asyncio.Event(), FakeService()
    stop.set()

    async def broken_stop() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await supervise([Service("s", service.run, broken_stop)], stop, 60)


@pytest.fixture
def collector() -> Iterator[None]:
    """Leave the garbage collector as it was before."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_what_is_there_is_not_looked_at_again() -> None:
    """Cycles among what comes later are still found: memory stays flat."""
    gc.set_threshold(700, 10, 10)
    reduce_garbage_collection()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] > 700
    gone = weakref.ref(Cycle())
    assert is_found_within(10 * gc.get_threshold()[0], gone)


@pytest.mark.usefixtures("collector")
def test_what_grew_old_and_is_gone_is_found() -> None:
    """A workflow that left the cache is such a cycle: a thousand of them must not wait for each other."""
    reduce_garbage_collection()
    cycle = Cycle()
    gone = weakref.ref(cycle)
    gc.collect()  # now it is among the oldest
    del cycle
    assert is_found_within(1_000_000, gone)


def is_found_within(objects: int, gone: "weakref.ref[Cycle]") -> bool:
    """Tell whether a cycle that nobody holds is found before so many objects were made."""
    kept: list[list[int]] = []
    while gone() is not None and len(kept) < objects:
        kept.append([])
    return gone() is None


class Cycle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self
