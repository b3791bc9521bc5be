"""The command ``signin-worker trace``: one sign-in's story, from the request's record to the result's."""

import os
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from activities.addresses import Address, parse_address
from schemas.status import Trace, TraceEvent
from utils.cli.terminal import CarryOut, end

_SIGN_IN: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")

Tell = Callable[[str, Address | None], Awaitable[Trace]]


class TraceCommand:
    """One command. ``storyteller``: reads the settings, and returns what tells."""

    def __init__(self, storyteller: Callable[[], Tell], carry_out: CarryOut) -> None:
        self._storyteller = storyteller
        self._carry_out = carry_out

    def add_to(self, group: typer.Typer) -> None:
        """Add the command."""
        group.command()(self.trace)

    def trace(
        self,
        signin_id: Annotated[str, typer.Argument(metavar="SIGNIN_ID", help="The sign-in.")],
        email: Annotated[str, typer.Option(metavar="EMAIL", help="The address, where the mailbox is not known.")] = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Tell one sign-in's story from Kafka and Temporal: events, decisions, tries, and how long each took.

        No code is shown, and the address masked.
        """
        if not _SIGN_IN.fullmatch(signin_id):
            end(os.EX_USAGE, ["This is no sign-in's id: 22 to 64 letters, digits, _ and -."])
        address = parse_address(email) if email else None
        if email and address is None:
            end(os.EX_USAGE, ["This is no e-mail address."])
        tell = self._storyteller()

        async def told() -> Trace:
            return await tell(signin_id, address)

        story = self._carry_out(told())
        if as_json:
            typer.echo(story.model_dump_json())
        else:
            Console().print(screen(story))
        if not story.moments:
            end(os.EX_NOINPUT, ["Neither Temporal nor Kafka knows this sign-in (any more)."])


def screen(story: Trace) -> RenderableType:
    """Return it for people: fits into 80 columns."""
    who = [f"account {story.account}"] if story.account else []
    where = [f"mailbox {story.mailbox}"] if story.mailbox else []
    lines = [f"sign-in {story.signin_id}", *([story.masked] if story.masked else []), *who, *where]
    lines.append(story.outcome or "not over yet, or its mailbox is not known: try --email")
    away = [f"{name} does not answer ({how})" for name, how in story.away.items()]
    said = (*map(Text, lines), *(Text(line, style="bold red") for line in away))
    return Group(*said, Text(), _timeline(story.moments))


def _timeline(moments: tuple[TraceEvent, ...]) -> Table:
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    table.add_column("after", justify="right", no_wrap=True)
    table.add_column("where", no_wrap=True)
    table.add_column("what", overflow="fold")
    for moment in moments:
        after = (moment.at - moments[0].at).total_seconds()
        details = ", ".join(f"{name} {value}" for name, value in moment.details.items())
        failed = "failed" in moment.what or "terminated" in moment.what
        what = Text(moment.what, style="bold red" if failed else "")
        table.add_row(f"{after:.3f} s", moment.where, what.append(f"  {details}" if details else "", style="dim"))
    return table
