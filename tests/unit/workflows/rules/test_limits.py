"""The budgets of a mailbox as support sees and clears them."""

from datetime import timedelta
from typing import Any

import pytest

from schemas.limits import BudgetUse
from schemas.policy import LimitPolicy, Policy
from tests.fakes.mailbox_world import ADA, CAFE, EVE, HOME, RIGHT, MailboxWorld
from workflows.rules.budgets import DAY, HOUR

_TRIES_PER_SIGN_IN = 5


def fail(world: MailboxWorld, times: int, account: str = ADA, **client: Any) -> None:
    """Submit wrong codes, at most five per sign-in."""
    while times > 0:
        signin_id = world.mailed_sign_in(account=account, **client)
        world.submit_wrong(signin_id, min(times, _TRIES_PER_SIGN_IN), account)
        world.run_jobs()
        times -= _TRIES_PER_SIGN_IN


def spent(use: BudgetUse) -> tuple[int, int, int]:
    """Return what was spent in an hour, in a day, and by one network."""
    return use.last_hour, use.last_day, use.by_one_network


def all_spent(world: MailboxWorld) -> list[tuple[int, int, int]]:
    """Return what was spent of each budget."""
    return [spent(use) for use in world.limits().values()]


NOTHING = [(0, 0, 0)] * 4


def test_an_unused_mailbox_reports_its_limits_and_nothing_spent(world: MailboxWorld) -> None:
    """Each of the four budgets has its own limits."""
    uses = world.limits().values()

    assert all_spent(world) == NOTHING
    assert [use.free_at for use in uses] == [None] * 4
    assert [(use.most_per_hour, use.most_per_day, use.most_by_one_network) for use in uses] == [
        (5, 20, 10),
        (5, 20, None),
        (10, 20, 10),
        (None, 5, None),
    ]
    assert [use.most_in_a_row for use in uses] == [None, None, 100, 100]


def test_mails_count_per_mailbox_and_failures_per_account(world: MailboxWorld) -> None:
    """Two accounts of one mailbox share its mails, but not their failures."""
    fail(world, 5, ADA, network=HOME)
    fail(world, 5, EVE, network=CAFE)

    assert spent(world.limits(ADA)["mails"]) == (2, 2, 1)
    assert spent(world.limits(ADA)["failures"]) == (5, 5, 5)
    assert spent(world.limits(EVE)["failures"]) == (5, 5, 5)
    assert spent(world.limits("nobody")["failures"]) == (0, 0, 0)


def test_a_locked_account_reports_when_it_is_free_again(world: MailboxWorld) -> None:
    """Ten failures lock an account for an hour, counted from the first of them."""
    began = world.now
    fail(world, 10, network=HOME)

    assert world.limits()["failures"].free_at == began + HOUR
    assert world.limits()["trusted failures"].free_at is None

    world.wait(3_600)

    assert world.limits()["failures"].free_at is None
    assert spent(world.limits()["failures"]) == (0, 10, 10)


def test_a_mailbox_knows_the_longest_lock_of_its_accounts(world: MailboxWorld) -> None:
    """The search attribute shows it for as long as it lasts."""
    assert world.mailbox.locked_until(world.now) is None

    fail(world, 10, ADA, network=HOME)
    world.wait(60)
    second = world.now
    fail(world, 10, EVE, network=CAFE)

    assert world.mailbox.locked_until(world.now) == second + HOUR
    assert world.mailbox.has_live_sign_ins is False

    world.wait(3_600)

    assert world.mailbox.locked_until(world.now) is None


def test_failures_in_a_row_are_reported() -> None:
    """A full row locks the account until a day after its last failure."""
    world = MailboxWorld(Policy(limits=LimitPolicy(failures_in_a_row=3)))
    fail(world, 3)
    use = world.limits()["failures"]
    assert (use.in_a_row, use.most_in_a_row) == (3, 3)
    assert use.free_at == world.now + DAY


def test_what_is_a_day_old_is_not_reported(world: MailboxWorld) -> None:
    """This holds even if no signal has made the mailbox drop it yet."""
    fail(world, 3)
    world.now += DAY + timedelta(seconds=1)
    assert all_spent(world) == NOTHING
    assert world.limits()["failures"].in_a_row == 0


@pytest.mark.parametrize("trusted", [False, True])
def test_cleared_budgets_can_be_spent_again(world: MailboxWorld, trusted: bool) -> None:
    """A locked or throttled account can sign in at once after its limits were cleared."""
    for number in range(5):
        fail(world, 2, network=f"198.51.{number}.0/24", trusted=trusted)

    rejected = world.sign_in(trusted=trusted)

    assert world.outcomes(rejected)[-1] in {
        "signin.rejected locked",
        "signin.rejected throttled",
    }

    world.clear()

    assert all_spent(world) == NOTHING

    signin_id = world.mailed_sign_in(trusted=trusted)
    world.submit(signin_id, RIGHT)

    assert world.outcomes(signin_id) == ["signin.code_sent", "signin.succeeded"]


def test_mails_and_failures_can_be_cleared_separately(world: MailboxWorld) -> None:
    """Clearing one of the two leaves the other as it is."""
    fail(world, 10)
    world.clear(mails=False)
    assert (world.limits()["mails"].last_day, world.limits()["failures"].last_day) == (2, 0)

    fail(world, 5)
    world.clear(failures=False)
    assert (world.limits()["mails"].last_day, world.limits()["failures"].last_day) == (0, 5)


def test_clearing_gives_a_live_sign_in_no_tries_back(world: MailboxWorld) -> None:
    """A code has five tries, whatever an operator does."""
    signin_id = world.mailed_sign_in()
    world.submit_wrong(signin_id, 4)
    world.run_jobs()

    world.clear()
    world.submit_wrong(signin_id, 1)

    assert world.outcomes(signin_id)[-1] == "signin.failed too_many_attempts"


def test_cleared_budgets_stay_cleared_in_a_new_run(world: MailboxWorld) -> None:
    """Continue-as-new carries the state as it is."""
    fail(world, 10)
    world.clear()
    world.continue_as_new()
    assert all_spent(world) == NOTHING
