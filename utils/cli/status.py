"""The command ``signin-worker status``: the status of Kafka, Temporal and one worker, once or every two seconds."""

import asyncio
import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Final, NoReturn

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from schemas.status import Status, WorkerPage, WorkflowCounts
from utils.cli.terminal import read_wiring, run_command
from utils.wiring import ReadStatus

REFRESH_S: Final = 2.0

_KINDS: Final = {"sign_in_workflow": "requests", "verify_otp_workflow": "mailboxes"}


def status(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every two seconds, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object; with --watch, one per line.")] = False,
) -> None:
    """Show lag and age per partition, workflows, results and mails. Ends with 69 if Kafka or Temporal is away."""
    wiring = read_wiring(context, "SIGNIN_KAFKA__", "SIGNIN_HTTP__", "SIGNIN_TEMPORAL__")
    read = wiring.status_reader()

    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            run_command(_watch(read, as_json))
        return

    found = run_command(read())
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        Console().print(screen(found))

    if {"Kafka", "Temporal"} & set(found.away):
        raise typer.Exit(os.EX_UNAVAILABLE)


async def _watch(read: ReadStatus, as_json: bool) -> NoReturn:
    if as_json:
        while True:
            typer.echo((await read()).model_dump_json())
            await asyncio.sleep(REFRESH_S)

    with Live(auto_refresh=False, screen=False) as live:
        while True:
            live.update(screen(await read()), refresh=True)
            await asyncio.sleep(REFRESH_S)


def screen(status: Status) -> RenderableType:
    """Return the status for people, in 80 columns."""
    time = Text(f"{status.at:%Y-%m-%d %H:%M:%S} UTC", style="bold")
    parts: list[RenderableType] = [time, *_away(status.away), *_unseen(status.unseen)]

    if status.partitions:
        parts += [Text(), _partitions(status), *_open_transactions(status)]
    if status.workflows is not None:
        parts += [Text(), _workflows(status.workflows)]
    if status.worker is not None:
        parts += [Text(), *_worker(status.worker)]
    return Group(*parts)


def _away(away: Mapping[str, str]) -> Iterator[Text]:
    for source, error in away.items():
        if source == "worker":
            yield Text(f"no worker answers ({error})", style="yellow")
        else:
            yield Text(f"{source} does not answer ({error})", style="bold red")


def _unseen(topics: Sequence[str]) -> Iterator[Text]:
    for topic in topics:
        why = "it does not exist, there is no right to see it, or it has no leader"
        yield Text(f"{topic}: no partition is seen: {why}", style="bold red")


def _partitions(status: Status) -> Table:
    table = _table("partition", "end", "committed", "lag", "oldest")

    for partition in status.partitions:
        committed = "never" if partition.committed is None else str(partition.committed)
        oldest = "–" if partition.oldest is None else _duration(status.at - partition.oldest)
        table.add_row(
            f"{partition.topic}/{partition.partition}",
            str(partition.end),
            committed,
            str(partition.lag),
            oldest,
            style="yellow" if partition.lag else "",
        )

    total = sum(partition.lag for partition in status.partitions)
    table.add_section()
    table.add_row("all", "", "", str(total), "")
    return table


def _open_transactions(status: Status) -> Iterator[Text]:
    for partition in status.partitions:
        if partition.behind_open_transaction:
            place = f"{partition.topic}/{partition.partition}"
            yield Text(f"{place}: {partition.behind_open_transaction} behind an open transaction", style="bold red")


def _workflows(workflows: WorkflowCounts) -> Table:
    table = _table("workflows", "running", "completed", "others")

    for kind, by_status in workflows.by_status.items():
        counts = dict(by_status)
        running = counts.pop("Running", 0)
        completed = counts.pop("Completed", 0)
        table.add_row(_KINDS.get(kind, kind), str(running), str(completed), str(sum(counts.values())))

    if workflows.waiting is not None:
        table.add_row("… with a waiting sign-in", str(workflows.waiting), "", "")
    if workflows.locked is not None:
        table.add_row("… with a locked account", str(workflows.locked), "", "")
    return table


def _worker(worker: WorkerPage) -> Iterator[RenderableType]:
    for condition in worker.missing:
        yield Text(f"the worker is not ready: {condition}", style="bold red")

    breaker = "open" if worker.breaker_open else "closed"
    yield Text(
        f"this worker: {worker.in_flight} in flight, breaker {breaker}, at most {worker.limit} calls, "
        f"rebuilt {worker.rebuilds} times\n"
    )

    table = _table("since its start", "number")
    for name, counts in (("records ", worker.records), ("mails ", worker.mails), ("", worker.results)):
        for kind, count in sorted(counts.items()):
            if count:
                table.add_row(name + kind, str(count))
    yield table if table.row_count else Text("nothing since its start")


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    return table


def _duration(duration: timedelta) -> str:
    seconds = max(0, int(duration.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3_600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3_600} h {seconds % 3_600 // 60} min"
