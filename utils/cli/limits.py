"""The commands ``signin-worker limits``: what an account has spent, and giving it back."""

import getpass
import json
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Protocol

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from activities.addresses import Address, masked, parse_address
from activities.pseudonyms import Pseudonyms
from consumers.ports import utc_now
from schemas.limits import BudgetUse, Clearing, LimitsReport
from utils.cli.terminal import CarryOut, command_group, end

_HEADINGS: Final = ("spent of", "an hour", "a day", "one network", "in a row", "free again")
_NOTHING: Final = "nothing is spent: no mail and no failure in the last day"

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The person's address.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


class Limits(Protocol):
    """The mailboxes, as support sees them. Both return None for one that remembers nothing."""

    async def show(self, mailbox: str, account: str) -> LimitsReport | None:
        """Return what is spent."""
        ...

    async def clear(self, mailbox: str, clearing: Clearing) -> LimitsReport | None:
        """Give budgets back; return how they stood."""
        ...


@dataclass(frozen=True)
class SupportDesk:
    """What support works with. ``limits`` connects."""

    names: Pseudonyms
    limits: Callable[[], Awaitable[Limits]]


class LimitsCommands:
    """A group of commands. ``open_desk`` reads the settings."""

    def __init__(self, open_desk: Callable[[], SupportDesk], carry_out: CarryOut) -> None:
        self._open_desk = open_desk
        self._carry_out = carry_out

    def group(self) -> typer.Typer:
        """Return the commands."""
        group = command_group("What an account may still spend: mails and wrong codes. For support.")
        group.command("show")(self.show)
        group.command("clear")(self.clear)
        return group

    def show(self, email: Email, as_json: Json = False) -> None:
        """Show what is spent of each budget, and when there is room again."""
        address = _address(email)
        desk = self._open_desk()

        async def ask() -> LimitsReport | None:
            limits = await desk.limits()
            return await limits.show(desk.names.mailbox(address), desk.names.account(address))

        _tell(email, self._carry_out(ask()), as_json)

    def clear(
        self,
        email: Email,
        mails: Annotated[bool, typer.Option("--mails", help="Only the mailbox's mails.")] = False,
        failures: Annotated[bool, typer.Option("--failures", help="Only the account's failures.")] = False,
        operator: Annotated[str, typer.Option(help="Who does it, for the audit trail. Default: the user.")] = "",
        as_json: Json = False,
    ) -> None:
        """Give the budgets back, in full; print how they stood. The audit trail tells it."""
        address, both = _address(email), not mails and not failures
        desk = self._open_desk()
        account = desk.names.account(address)
        clearing = Clearing(
            account=account,
            mails=mails or both,
            failures=failures or both,
            operator=_operator(operator),
            masked=masked(email),
        )

        async def order() -> LimitsReport | None:
            return await (await desk.limits()).clear(desk.names.mailbox(address), clearing)

        _tell(email, self._carry_out(order()), as_json, cleared=True)


def _address(email: str) -> Address:
    address = parse_address(email)
    if address is None:
        end(os.EX_USAGE, ["This is no e-mail address."])
    return address


def _operator(given: str) -> str:
    """Return a name that the audit trail takes."""
    name = re.sub(r"[^A-Za-z0-9_.@+-]", "_", given or getpass.getuser())[:64]
    if not name:
        end(os.EX_USAGE, ["--operator must be a name of 1 to 64 characters."])
    return name


def _tell(email: str, report: LimitsReport | None, as_json: bool, *, cleared: bool = False) -> None:
    if as_json:
        budgets = [] if report is None else [one.model_dump(mode="json") for one in report.budgets]
        live = 0 if report is None else report.live
        typer.echo(json.dumps({"cleared": cleared and report is not None, "live": live, "budgets": budgets}))
    elif report is None:
        typer.echo(f"{masked(email)}: {_NOTHING}")
    else:
        screen(Console(), title(email, report.live, cleared=cleared), report.budgets, utc_now())


def title(email: str, live: int, *, cleared: bool) -> str:
    """Return what stands above the table."""
    stood = "these were given back" if cleared else f"{live} live sign-in{'' if live == 1 else 's'}"
    return f"{masked(email)}: {stood}"


def screen(console: Console, title: str, budgets: Sequence[BudgetUse], now: datetime) -> None:
    """Print the table."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading == _HEADINGS[0] else "right", no_wrap=True)
    for one in budgets:
        network = _of(one.by_one_network, one.most_by_one_network) if one.most_by_one_network else "–"
        row = _of(one.in_a_row, one.most_in_a_row) if one.in_a_row is not None else "–"
        hour, day = _of(one.last_hour, one.most_per_hour), _of(one.last_day, one.most_per_day)
        table.add_row(one.budget, hour, day, network, row, _in(one.free_at, now))
    console.print(table)


def _of(spent: int, most: int | None) -> str:
    return str(spent) if most is None else f"{spent}/{most}"


def _in(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "now"
    minutes = max(1, -int(-(moment - now).total_seconds() // 60))
    return f"in {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"in {minutes} min"
