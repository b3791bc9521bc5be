"""The command ``signin-worker trace``: what happened to one sign-in, from the request's record to the result's."""

import os
import re
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from schemas.status import Trace, TraceEvent
from utils.cli.terminal import Json, email_address, end_command, read_wiring, run_command

_SIGNIN_ID: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")


def trace(
    context: typer.Context,
    signin_id: Annotated[str, typer.Argument(metavar="SIGNIN_ID", help="The sign-in.")],
    email: Annotated[
        str, typer.Option(metavar="EMAIL", help="The address, if Temporal no longer knows the mailbox.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Show what Kafka and Temporal know of one sign-in: events, decisions, tries, and how long each took.

    No code is shown, and the address is masked.
    """
    if not _SIGNIN_ID.fullmatch(signin_id):
        end_command(os.EX_USAGE, "This is not a sign-in's id: 22 to 64 letters, digits, _ and -.")
    address = email_address(email) if email else None

    wiring = read_wiring(context, "SIGNIN_KAFKA__", "SIGNIN_KEYS__ACCOUNT", "SIGNIN_KEYS__PAYLOAD")
    found = run_command(wiring.trace(signin_id, address))

    if as_json:
        typer.echo(found.model_dump_json())
    else:
        Console().print(screen(found))

    if not found.moments:
        end_command(os.EX_NOINPUT, "Neither Temporal nor Kafka knows this sign-in (any more).")


def screen(trace: Trace) -> RenderableType:
    """Return the trace for people, in 80 columns."""
    lines = [f"sign-in {trace.signin_id}"]
    if trace.masked:
        lines.append(trace.masked)
    if trace.account:
        lines.append(f"account {trace.account}")
    if trace.mailbox:
        lines.append(f"mailbox {trace.mailbox}")
    lines.append(trace.outcome or "not over yet, or its mailbox is not known: try --email")

    away = [f"{source} does not answer ({error})" for source, error in trace.away.items()]
    unseen = [f"{topic} was not searched: it does not exist, or there is no right to see it" for topic in trace.unseen]
    warnings = [Text(line, style="bold red") for line in (*away, *unseen)]

    return Group(*map(Text, lines), *warnings, Text(), _timeline(trace.moments))


def _timeline(events: Sequence[TraceEvent]) -> Table:
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    table.add_column("after", justify="right", no_wrap=True)
    table.add_column("where", no_wrap=True)
    table.add_column("what", overflow="fold")

    for event in events:
        after_s = (event.at - events[0].at).total_seconds()
        table.add_row(f"{after_s:.3f} s", event.where, _description(event))
    return table


def _description(event: TraceEvent) -> Text:
    is_bad = "failed" in event.what or "terminated" in event.what
    details = ", ".join(f"{name} {value}" for name, value in event.details.items())

    description = Text(event.what, style="bold red" if is_bad else "")
    return description.append(f"  {details}" if details else "", style="dim")
