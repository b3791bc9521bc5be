"""The commands ``signin-worker limits``: what an account has spent, and giving it back."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from activities.addresses import masked
from consumers.ports import utc_now
from schemas.limits import BudgetUse, Clearing, LimitsReport
from utils.cli.terminal import (
    Json,
    command_group,
    email_address,
    operator_name,
    read_wiring,
    require_account_key,
    run_command,
)
from utils.wiring import Wiring

_HEADINGS: Final = ("spent of", "an hour", "a day", "one network", "in a row", "free again")
_NOTHING_SPENT: Final = "nothing is spent: no mail and no failure in the last day"

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The person's address.")]

limits = command_group("What an account may still spend: mails and wrong codes. For support.")


@limits.command()
def show(context: typer.Context, email: Email, as_json: Json = False) -> None:
    """Show what is spent of each budget, and when there is room again."""
    address = email_address(email)
    wiring = _read_wiring(context)
    mailbox = wiring.pseudonyms.mailbox(address)
    account = wiring.pseudonyms.account(address)

    async def ask() -> LimitsReport | None:
        budgets = await wiring.limits()
        return await budgets.show(mailbox, account)

    _print_report(email, run_command(ask()), as_json)


@limits.command()
def clear(
    context: typer.Context,
    email: Email,
    mails: Annotated[bool, typer.Option("--mails", help="Only the mailbox's mails.")] = False,
    failures: Annotated[bool, typer.Option("--failures", help="Only the account's failures.")] = False,
    operator: Annotated[str, typer.Option(help="Your name for the audit trail. Default: the user's.")] = "",
    as_json: Json = False,
) -> None:
    """Give the budgets back in full, and print what was spent. The audit trail records it."""
    address = email_address(email)
    wiring = _read_wiring(context)
    mailbox = wiring.pseudonyms.mailbox(address)
    clear_all = not mails and not failures
    clearing = Clearing(
        account=wiring.pseudonyms.account(address),
        mails=mails or clear_all,
        failures=failures or clear_all,
        operator=operator_name(operator),
        masked=masked(email),
    )

    async def give_back() -> LimitsReport | None:
        budgets = await wiring.limits()
        return await budgets.clear(mailbox, clearing)

    _print_report(email, run_command(give_back()), as_json, cleared=True)


def _read_wiring(context: typer.Context) -> Wiring:
    wiring = read_wiring(context, "SIGNIN_KEYS__ACCOUNT", "SIGNIN_KEYS__PAYLOAD")
    require_account_key(wiring)
    return wiring


def _print_report(email: str, report: LimitsReport | None, as_json: bool, *, cleared: bool = False) -> None:
    if as_json:
        live = report.live if report else 0
        budgets = [budget.model_dump(mode="json") for budget in report.budgets] if report else []
        fields = {"cleared": cleared and report is not None, "live": live, "budgets": budgets}
        typer.echo(json.dumps(fields))
    elif report is None:
        typer.echo(f"{masked(email)}: {_NOTHING_SPENT}")
    else:
        heading = title(email, report.live, cleared=cleared)
        Console().print(screen(heading, report.budgets, utc_now()))


def title(email: str, live: int, *, cleared: bool) -> str:
    """Return the title of the table."""
    sign_ins = "1 live sign-in" if live == 1 else f"{live} live sign-ins"
    return f"{masked(email)}: {'these were given back' if cleared else sign_ins}"


def screen(title: str, budgets: Sequence[BudgetUse], now: datetime) -> Table:
    """Return the table, for 80 columns."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading == _HEADINGS[0] else "right", no_wrap=True)

    for budget in budgets:
        table.add_row(
            budget.budget,
            _of(budget.last_hour, budget.most_per_hour),
            _of(budget.last_day, budget.most_per_day),
            _of(budget.by_one_network, budget.most_by_one_network) if budget.most_by_one_network else "–",
            _of(budget.in_a_row, budget.most_in_a_row) if budget.in_a_row is not None else "–",
            _wait_until(budget.free_at, now),
        )
    return table


def _of(spent: int, limit: int | None) -> str:
    return str(spent) if limit is None else f"{spent}/{limit}"


def _wait_until(free_at: datetime | None, now: datetime) -> str:
    if free_at is None:
        return "now"

    minutes = max(1, -int(-(free_at - now).total_seconds() // 60))
    return f"in {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"in {minutes} min"
