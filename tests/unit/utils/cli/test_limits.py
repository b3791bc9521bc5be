"""The commands ``signin-worker limits``."""

import io
import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from typer.testing import CliRunner

from activities.addresses import parse_address
from schemas.limits import BudgetUse, LimitsReport
from utils.cli.limits import limits as limits_commands
from utils.cli.limits import screen
from tests.fakes.wiring import FakeLimits, FakeWiring

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
LOCKED = BudgetUse(
    budget="failures",
    last_hour=10,
    most_per_hour=10,
    last_day=12,
    most_per_day=20,
    by_one_network=7,
    most_by_one_network=10,
    in_a_row=12,
    most_in_a_row=100,
    free_at=NOW + timedelta(minutes=41, seconds=10),
)
TRUSTED = BudgetUse(
    budget="trusted failures",
    last_hour=5,
    most_per_hour=None,
    last_day=5,
    most_per_day=5,
    by_one_network=5,
    most_by_one_network=None,
    in_a_row=5,
    most_in_a_row=100,
    free_at=NOW + timedelta(hours=23, minutes=5),
)
MAILS = BudgetUse(
    budget="mails",
    last_hour=1,
    most_per_hour=5,
    last_day=2,
    most_per_day=20,
    by_one_network=2,
    most_by_one_network=10,
    in_a_row=None,
    most_in_a_row=None,
    free_at=None,
)
REPORT = LimitsReport(budgets=(MAILS, LOCKED, TRUSTED), live=1)


def run(limits: FakeLimits, *arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code and all that it prints."""
    wiring = FakeWiring()
    wiring.fake_limits = limits
    result = CliRunner().invoke(limits_commands, arguments, obj=wiring)

    return result.exit_code, result.output


def test_it_asks_about_the_account_and_its_mailbox() -> None:
    """By their pseudonyms, of the address in its canonical forms; the address itself is not repeated."""
    limits = FakeLimits(REPORT)
    names = FakeWiring().pseudonyms
    code, said = run(limits, "show", "Ada+shop@Example.com")
    address = parse_address("ada+shop@example.com")

    assert address is not None
    assert limits.asked == [(names.mailbox(address), names.account(address))]
    assert code == 0
    assert said.splitlines()[0].rstrip() == "A***@E***.com: 1 live sign-in"
    assert "shop" not in said


def test_as_json_it_is_one_object_with_every_budget() -> None:
    """Numbers as numbers, times in RFC 3339."""
    _, said = run(FakeLimits(REPORT), "show", "ada@example.com", "--json")
    shown = json.loads(said)
    assert (shown["cleared"], shown["live"]) == (False, 1)
    assert [one["budget"] for one in shown["budgets"]] == ["mails", "failures", "trusted failures"]
    assert shown["budgets"][1]["free_at"] == "2026-11-25T09:41:10Z"


@pytest.mark.parametrize(
    ("options", "mails", "failures"),
    [([], True, True), (["--mails"], True, False), (["--failures"], False, True)],
)
def test_clearing_gives_back_all_or_what_is_named(options: list[str], mails: bool, failures: bool) -> None:
    """The account, who does it, and a masked address go along, for the audit trail."""
    limits = FakeLimits(REPORT)
    code, said = run(limits, "clear", "ada@example.com", "--operator", "grace hopper", *options)
    ((_, clearing),) = limits.cleared
    assert (clearing.mails, clearing.failures) == (mails, failures)
    assert (clearing.operator, clearing.masked) == ("grace_hopper", "a***@e***.com")
    assert code == 0 and "these were given back" in said


def test_without_a_name_the_user_is_the_operator() -> None:
    """Nobody is anonymous."""
    limits = FakeLimits(REPORT)
    run(limits, "clear", "ada@example.com", "--json")
    assert limits.cleared[0][1].operator


@pytest.mark.parametrize("command", ["show", "clear"])
def test_a_mailbox_that_remembers_nothing_is_told(command: str) -> None:
    """It is no error."""
    code, said = run(FakeLimits(None), command, "ada@example.com")
    assert code == 0 and "nothing is spent" in said
    code, said = run(FakeLimits(None), command, "ada@example.com", "--json")
    assert json.loads(said) == {"cleared": False, "live": 0, "budgets": []}


def test_what_is_no_address_is_not_repeated() -> None:
    """It ends with 64."""
    code, said = run(FakeLimits(REPORT), "show", "no-address")
    assert code == os.EX_USAGE and "no-address" not in said


@pytest.mark.parametrize("width", [80, 160])
def test_the_screen_is_one_line_a_budget(width: int) -> None:
    """Nothing is wrapped or cut."""
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=False)
    console.print(screen("a***@e***.com", REPORT.budgets, NOW))
    lines = [line for line in console.export_text().splitlines() if "/" in line]
    assert len(lines) == 3
    assert [word in lines[1] for word in ("10/10", "12/20", "7/10", "12/100", "in 42 min")] == [True] * 5
    assert "in 23 h 5 min" in lines[2] and "–" in lines[2]
