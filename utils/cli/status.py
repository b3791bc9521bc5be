"""The command ``signin-worker status``: how everything stands, once or again and again."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Annotated, Final, NoReturn

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from schemas.status import Status, WorkerPage, WorkflowCounts
from utils.cli.terminal import CarryOut

_EVERY_S: Final = 2.0
_KINDS: Final = {"sign_in_workflow": "requests", "verify_otp_workflow": "mailboxes"}


Look = Callable[[], Awaitable[Status]]


class StatusCommand:
    """One command. ``lookout``: reads the settings, and returns what looks."""

    def __init__(self, lookout: Callable[[], Look], carry_out: CarryOut, every_s: float = _EVERY_S) -> None:
        self._lookout = lookout
        self._carry_out = carry_out
        self._every_s = every_s

    def add_to(self, group: typer.Typer) -> None:
        """Add the command."""
        group.command()(self.status)

    def status(
        self,
        watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl-C.")] = False,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print one JSON object; with --watch, one a line.")
        ] = False,
    ) -> None:
        """Show lag and age per partition, states of workflows, results, mails. 69 if Kafka or Temporal is away."""
        look = self._lookout()
        if watch:
            with contextlib.suppress(KeyboardInterrupt):  # the way to end it
                self._carry_out(_watch(look, as_json, self._every_s))
            return
        standing = self._carry_out(_once(look))
        if as_json:
            typer.echo(standing.model_dump_json())
        else:
            Console().print(screen(standing))
        if {"Kafka", "Temporal"} & set(standing.away):
            raise typer.Exit(os.EX_UNAVAILABLE)


async def _once(look: Look) -> Status:
    return await look()


async def _watch(look: Look, as_json: bool, every_s: float) -> NoReturn:
    if as_json:
        while True:
            typer.echo((await look()).model_dump_json())
            await asyncio.sleep(every_s)
    with Live(auto_refresh=False, screen=False) as live:
        while True:
            live.update(screen(await look()), refresh=True)
            await asyncio.sleep(every_s)


def screen(standing: Status) -> RenderableType:
    """Return it for people: fits into 80 columns."""
    parts: list[RenderableType] = [Text(f"{standing.at:%Y-%m-%d %H:%M:%S} UTC", style="bold"), *_away(standing.away)]
    if standing.partitions:
        parts += [Text(), _partitions(standing)]
    if standing.workflows is not None:
        parts += [Text(), _workflows(standing.workflows)]
    if standing.worker is not None:
        parts += [Text(), *_worker(standing.worker)]
    return Group(*parts)


def _away(away: Mapping[str, str]) -> Iterator[Text]:
    for who, how in away.items():
        said = "no worker answers" if who == "worker" else f"{who} does not answer"
        yield Text(f"{said} ({how})", style="yellow" if who == "worker" else "bold red")


def _partitions(standing: Status) -> Table:
    table = _table("partition", "end", "committed", "lag", "oldest")
    for one in standing.partitions:
        committed = "never" if one.committed is None else str(one.committed)
        age = "–" if one.oldest is None else _span((standing.at - one.oldest).total_seconds())
        style = "yellow" if one.lag else ""
        table.add_row(f"{one.topic}/{one.partition}", str(one.end), committed, str(one.lag), age, style=style)
    table.add_section()
    table.add_row("all", "", "", str(sum(one.lag for one in standing.partitions)), "")
    return table


def _workflows(workflows: WorkflowCounts) -> Table:
    table = _table("workflows", "running", "completed", "others")
    for kind, counts in workflows.by_status.items():
        others = sum(count for status, count in counts.items() if status not in {"Running", "Completed"})
        table.add_row(
            _KINDS.get(kind, kind), str(counts.get("Running", 0)), str(counts.get("Completed", 0)), str(others)
        )
    for name, count in (("… where a sign-in waits", workflows.waiting), ("… with a locked account", workflows.locked)):
        if count is not None:
            table.add_row(name, str(count), "", "")
    return table


def _worker(worker: WorkerPage) -> Iterator[RenderableType]:
    for absence in worker.missing:
        yield Text(f"the worker is not ready: {absence}", style="bold red")
    breaker = "open" if worker.breaker_open else "closed"
    yield Text(
        f"this worker: {worker.in_flight} in flight, breaker {breaker}, {worker.limit} calls at most, "
        f"{worker.rebuilds} rebuilt\n"
    )
    table = _table("since its start", "number")
    for name, counts in (("records", worker.records), ("mails", worker.mails), ("", worker.results)):
        for kind, count in sorted(counts.items()):
            if count:
                table.add_row(f"{name} {kind}".strip(), str(count))
    yield table if table.row_count else Text("nothing since its start")


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    return table


def _span(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60} min"
