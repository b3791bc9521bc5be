"""The commands ``signin-worker limits``."""

import io
import json
import os
import pwd
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import pytest
from rich.console import Console

from activities.addresses import parse_address
from schemas.limits import BudgetUse, LimitsReport
from tests.fakes.wiring import FakeLimits, FakeWiring, invoke
from utils.cli.limits import limits as limits_commands
from utils.cli.limits import screen

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
    return invoke(limits_commands, wiring, *arguments)


def test_show_asks_about_the_account_and_its_mailbox() -> None:
    """They are named by pseudonyms of the normalized address. The address itself is not repeated."""
    limits = FakeLimits(REPORT)
    names = FakeWiring().pseudonyms
    code, output = run(limits, "show", "Ada+shop@Example.com")
    address = parse_address("ada+shop@example.com")

    assert address is not None
    assert limits.asked == [(names.mailbox(address), names.account(address))]
    assert code == 0
    assert output.splitlines()[0].rstrip() == "A***@E***.com: 1 live sign-in"
    assert "shop" not in output


def test_json_is_one_object_with_every_budget() -> None:
    """Numbers are numbers, and times are in RFC 3339."""
    _, output = run(FakeLimits(REPORT), "show", "ada@example.com", "--json")
    shown = json.loads(output)
    assert (shown["cleared"], shown["live"]) == (False, 1)
    assert [one["budget"] for one in shown["budgets"]] == ["mails", "failures", "trusted failures"]
    assert shown["budgets"][1]["free_at"] == "2026-11-25T09:41:10Z"


@pytest.mark.parametrize(
    ("options", "mails", "failures"),
    [([], True, True), (["--mails"], True, False), (["--failures"], False, True)],
)
def test_clear_gives_back_all_budgets_or_those_that_are_named(options: list[str], mails: bool, failures: bool) -> None:
    """The operator and the masked address are passed on for the audit trail."""
    limits = FakeLimits(REPORT)
    code, output = run(limits, "clear", "ada@example.com", "--operator", "grace hopper", *options)
    ((_, clearing),) = limits.cleared
    assert (clearing.mails, clearing.failures) == (mails, failures)
    assert (clearing.operator, clearing.masked) == ("grace_hopper", "a***@e***.com")
    assert code == 0 and "these were given back" in output


def test_the_user_is_the_operator_by_default() -> None:
    """Without ``--operator`` the audit trail gets the name of the user who runs the command."""
    limits = FakeLimits(REPORT)
    run(limits, "clear", "ada@example.com", "--json")
    assert limits.cleared[0][1].operator


@pytest.mark.parametrize("unknown", [KeyError, OSError])
def test_a_user_without_a_name_is_the_operator_by_number(
    monkeypatch: pytest.MonkeyPatch, unknown: type[Exception]
) -> None:
    """A container may run as a user that its image does not know. Python raises the one error or the other."""

    def look_up(uid: int) -> NoReturn:
        raise unknown(uid)

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", look_up)

    limits = FakeLimits(REPORT)
    code, _ = run(limits, "clear", "ada@example.com")

    assert code == 0
    assert limits.cleared[0][1].operator == f"uid-{os.getuid()}"


@pytest.mark.parametrize("command", ["show", "clear"])
def test_an_unknown_mailbox_has_spent_nothing(command: str) -> None:
    """A mailbox without a workflow is not an error."""
    code, output = run(FakeLimits(None), command, "ada@example.com")
    assert code == 0 and "nothing is spent" in output

    code, output = run(FakeLimits(None), command, "ada@example.com", "--json")
    assert json.loads(output) == {"cleared": False, "live": 0, "budgets": []}


def test_a_wrong_address_ends_with_64() -> None:
    """The text is not repeated."""
    code, output = run(FakeLimits(REPORT), "show", "no-address")
    assert code == os.EX_USAGE and "no-address" not in output


@pytest.mark.parametrize("width", [80, 160])
def test_the_screen_has_one_line_per_budget(width: int) -> None:
    """No line is wrapped or cut at either width."""
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=False)
    console.print(screen("a***@e***.com", REPORT.budgets, NOW))
    lines = [line for line in console.export_text().splitlines() if "/" in line]
    assert len(lines) == 3
    assert [word in lines[1] for word in ("10/10", "12/20", "7/10", "12/100", "in 42 min")] == [True] * 5
    assert "in 23 h 5 min" in lines[2] and "–" in lines[2]
