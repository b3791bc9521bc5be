"""Run the demo: ``python -m deploy.demo [--keep] [--json FILE]``; ``make demo`` does, in an environment of its own."""

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from deploy.demo.farewell import BY_HAND_LIFETIME_S, by_hand
from deploy.demo.journal import Journal
from deploy.demo.numbers import keep_reading
from deploy.demo.people import Person, cast
from deploy.demo.report import write_report
from deploy.demo.stack import LIFETIME_S, Stack, running_stack
from deploy.demo.view import final_table, numbers, watching
from deploy.demo.wire import Wire
from deploy.demo.world import World, as_shown
from deploy.local.servers.backends import described
from deploy.local.places import StackError, cache_folder
from deploy.local.waiting import eventually

_QUIET_WITHIN_S: Final = 20
_WIDTH_OF_FILES: Final = 140


def main() -> int:
    """Return the exit code: 0 if every outcome was the right one, 1 if not, 69 if the stack could not be started."""
    parser = argparse.ArgumentParser(prog="make demo ARGS=…", description="Virtual people sign in, for you to watch.")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    parser.add_argument("--json", metavar="FILE", help="write what happened as JSON; - is standard output")
    options = parser.parse_args()
    console = Console(stderr=options.json == "-", highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    try:
        return asyncio.run(_until_signalled(lambda: _demo(console, keep=options.keep, report=options.json)))
    except StackError as error:
        console.print(str(error), style="red", markup=False)
        return 69


async def _until_signalled(demo: Callable[[], Awaitable[int]]) -> int:
    task, received = asyncio.ensure_future(demo()), list[int]()

    def stop(number: int) -> None:
        received.append(number)
        if len(received) == 1:
            print("\ncleaning up …", file=sys.stderr, flush=True)
            task.cancel()  # once only: a second Ctrl-C must not interrupt the cleaning up

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        return 128 + received[0]


async def _demo(console: Console, *, keep: bool, report: str | None) -> int:
    begun, journal, people = time.monotonic(), Journal(), cast()
    say = _announcer(console, begun)
    say(described())
    async with running_stack(say, ui=keep) as stack, _wire(stack) as wire:
        trouble = await _watch_people(console, stack, wire, journal, people)
        console.print(final_table(journal, people))
        console.print(numbers(journal), soft_wrap=True)
        trouble += await _end_worker(stack)
        right = not trouble and not any(person.trouble for person in people)
        if not right:
            console.print(*trouble, sep="\n", style="red", markup=False)
            say(
                f"the worker's log is kept: {shutil.copy(stack.worker.process.log, cache_folder() / 'demo-worker.log')}"
            )
        took_s = time.monotonic() - begun
        if report:
            write_report(report, people, journal, trouble, took_s)
        if keep:
            await _stay(console, stack, wire, say)
    verdict = "Every outcome was the right one." if right else "Not every outcome was the right one."
    console.print(f"{verdict} {took_s:.0f} s in all.", style="bold")
    return 0 if right else 1


@contextlib.asynccontextmanager
async def _wire(stack: Stack) -> AsyncIterator[Wire]:
    wire = Wire(stack.kafka.bootstrap_servers, stack.topics)
    await wire.start()
    try:
        yield wire
    finally:
        await wire.stop()


async def _watch_people(
    console: Console, stack: Stack, wire: Wire, journal: Journal, people: list[Person]
) -> list[str]:
    """Let everybody live; return the trouble that is nobody's in particular."""
    world = World(wire, stack.mail_server, journal, LIFETIME_S)
    names = {person.signin_id: person.name for person in people}
    wire.results.follow(lambda outcome: world.overhear(names, outcome))
    reading = asyncio.create_task(keep_reading(stack, journal))
    try:
        with watching(console, journal, people):
            await asyncio.gather(*(person.live(world) for person in people))
            trouble = await _all_quiet(wire, journal)
    finally:
        reading.cancel()
    for person in people:
        person.judge(world)
    return trouble + wire.contradictions


async def _all_quiet(wire: Wire, journal: Journal) -> list[str]:
    """Wait until the worker has finished every record, so that a result too many would be seen."""

    async def quiet() -> bool:
        return journal.gauges.lag == 0 and sum(journal.gauges.outcomes.values()) >= wire.emitted

    try:
        await eventually(quiet, f"the worker has finished all {wire.emitted} records", within_s=_QUIET_WITHIN_S)
    except TimeoutError as error:
        return [str(error)]
    return []


async def _end_worker(stack: Stack) -> list[str]:
    try:
        await stack.worker.end()
    except StackError as error:
        return [str(error)]
    return []


async def _stay(console: Console, stack: Stack, wire: Wire, say: Callable[[str], None]) -> None:
    await stack.start_worker_again(say, BY_HAND_LIFETIME_S)
    stack.mail_server.follow(lambda mail: console.print(Panel(Text(as_shown(mail)), title="a mail arrived")))
    wire.results.follow(lambda outcome: say(f"result of {outcome.signin_id}: {outcome}"))
    console.print(by_hand(stack), soft_wrap=True, markup=False)
    await asyncio.Event().wait()


def _announcer(console: Console, begun: float) -> Callable[[str], None]:
    return lambda text: console.print(f"{time.monotonic() - begun:5.1f} s  {text}", soft_wrap=True, markup=False)


if __name__ == "__main__":
    sys.exit(main())
