"""Run the demo: ``python -m deploy.demo [--keep] [--web] [--json FILE]``; ``make demo`` in its own environment."""

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

from deploy.demo.gauges import poll_gauges
from deploy.demo.instructions import MANUAL_LIFETIME_S, instructions
from deploy.demo.journal import Journal
from deploy.demo.people import Person, everybody
from deploy.demo.report import write_report
from deploy.demo.stack import LIFETIME_S, Say, Stack, running_stack
from deploy.demo.upstream import Upstream
from deploy.demo.view import final_table, gauges_line, live_view
from deploy.demo.web import Web, running_web
from deploy.demo.world import World, mail_text
from deploy.local.places import StackError, cache_folder
from deploy.local.servers.backends import described
from deploy.local.waiting import eventually

_EXIT_UNAVAILABLE: Final = 69
_IDLE_WITHIN_S: Final = 20
_FILE_WIDTH: Final = 140


def main() -> int:
    """Return the exit code: 0 if every outcome is right, 1 if not, 69 if the stack does not start."""
    options = _options()
    console = Console(stderr=options.json == "-", highlight=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH

    try:
        return asyncio.run(_run_until_signal(lambda: _chosen(options, console)))
    except StackError as error:
        console.print(str(error), style="red", markup=False)
        return _EXIT_UNAVAILABLE


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo ARGS=…", description="Watch virtual people sign in.")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    parser.add_argument("--web", action="store_true", help="no virtual people: sign in yourself, in a browser")
    parser.add_argument("--json", metavar="FILE", help="write what happened as JSON; - is standard output")
    return parser.parse_args()


def _chosen(options: argparse.Namespace, console: Console) -> Awaitable[int]:
    if options.web:
        return _sign_in_yourself(console)
    return _demo(console, keep=options.keep, report=options.json)


async def _run_until_signal(demo: Callable[[], Awaitable[int]]) -> int:
    task = asyncio.ensure_future(demo())
    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        if len(received) == 1:
            print("\ncleaning up …", file=sys.stderr, flush=True)
            task.cancel()  # only once: a second Ctrl-C must not interrupt the cleaning up

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)

    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        return 128 + received[0]


async def _demo(console: Console, *, keep: bool, report: str | None) -> int:
    start_s = time.monotonic()
    journal = Journal()
    people = everybody()

    say = _clock(console)
    say(described())
    async with running_stack(say, ui=keep) as stack, _connected_upstream(stack) as upstream:
        problems = await _watch_people(console, stack, upstream, journal, people)
        console.print(final_table(journal, people))
        console.print(gauges_line(journal), soft_wrap=True)

        problems += await _end_worker(stack)
        is_right = not problems and not any(person.problems for person in people)
        if not is_right:
            console.print(*problems, sep="\n", style="red", markup=False)
            say(f"the worker's log is kept: {_keep_log(stack)}")

        took_s = time.monotonic() - start_s
        if report:
            write_report(report, people, journal, problems, took_s)
        if keep:
            await stack.restart_worker(say, MANUAL_LIFETIME_S)
            await _keep_running(console, stack, upstream, say)

    verdict = "Every outcome was right." if is_right else "Not every outcome was right."
    console.print(f"{verdict} The demo took {took_s:.0f} s.", style="bold")
    return 0 if is_right else 1


async def _sign_in_yourself(console: Console) -> int:
    """Start the stack for one person with a browser, and keep it running."""
    say = _clock(console)
    say(described())

    async with running_stack(say, ui=True, lifetime_s=MANUAL_LIFETIME_S) as stack:
        async with _connected_upstream(stack) as upstream, running_web(stack, say) as web:
            await _keep_running(console, stack, upstream, say, web)
    return 0


def _clock(console: Console) -> Say:
    """Return a function that prints a line with the seconds since now."""
    start_s = time.monotonic()
    return lambda text: console.print(f"{time.monotonic() - start_s:5.1f} s  {text}", soft_wrap=True, markup=False)


@contextlib.asynccontextmanager
async def _connected_upstream(stack: Stack) -> AsyncIterator[Upstream]:
    upstream = Upstream(stack.kafka.bootstrap_servers, stack.topics)
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.stop()


async def _watch_people(
    console: Console, stack: Stack, upstream: Upstream, journal: Journal, people: list[Person]
) -> list[str]:
    """Let everybody follow their plan; return the problems that concern nobody in particular."""
    world = World(upstream, stack.mail_server, journal, LIFETIME_S)
    names = {person.signin_id: person.name for person in people}
    upstream.results.follow(lambda outcome: world.note_result(names, outcome))
    polling = asyncio.create_task(poll_gauges(stack, journal))

    try:
        with live_view(console, journal, people):
            await asyncio.gather(*(person.follow_plan(world) for person in people))
            problems = await _wait_until_idle(upstream, journal)
    finally:
        polling.cancel()

    for person in people:
        person.check(world)
    return problems + upstream.contradictions


async def _wait_until_idle(upstream: Upstream, journal: Journal) -> list[str]:
    """Wait until the worker has finished every record, so that surplus results would be seen."""

    async def is_idle() -> bool:
        return journal.gauges.lag == 0 and sum(journal.gauges.outcomes.values()) >= upstream.emitted

    try:
        what = f"the worker has finished all {upstream.emitted} records"
        await eventually(is_idle, what, within_s=_IDLE_WITHIN_S)
    except TimeoutError as error:
        return [str(error)]
    return []


async def _end_worker(stack: Stack) -> list[str]:
    try:
        await stack.worker.end()
    except StackError as error:
        return [str(error)]
    return []


def _keep_log(stack: Stack) -> str:
    copy = cache_folder() / "demo-worker.log"
    shutil.copy(stack.worker.process.log, copy)
    return str(copy)


async def _keep_running(console: Console, stack: Stack, upstream: Upstream, say: Say, web: Web | None = None) -> None:
    stack.mail_server.follow(lambda mail: console.print(Panel(Text(mail_text(mail)), title="a mail has arrived")))
    upstream.results.follow(lambda outcome: say(f"result of {outcome.signin_id}: {outcome}"))

    console.print(instructions(stack, web), soft_wrap=True, markup=False)
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
