"""What support sees of a mailbox's budgets, and gives back."""

from datetime import timedelta
from typing import Any

import pytest

from schemas.limits import BudgetUse
from schemas.policy import LimitPolicy, Policy
from tests.fakes.mailbox_world import ADA, CAFE, EVE, HOME, RIGHT, MailboxWorld
from workflows.rules.budgets import DAY, HOUR


@pytest.fixture
def world() -> MailboxWorld:
    """Give a mailbox with the default limits."""
    return MailboxWorld()


def fail(world: MailboxWorld, times: int, account: str = ADA, **client: Any) -> None:
    """Type so many wrong codes, five a sign-in."""
    while times > 0:
        signin_id = world.sign_in(account=account, **client)
        world.run_jobs()
        for _ in range(min(times, 5)):
            world.submit(signin_id, "wrong", account)
        world.run_jobs()
        times -= 5


def spent(use: BudgetUse) -> tuple[int, int, int]:
    """Return what was spent in an hour, in a day, and by one network."""
    return use.last_hour, use.last_day, use.by_one_network


def test_of_a_mailbox_that_did_nothing_nothing_is_spent(world: MailboxWorld) -> None:
    """And the limits are told."""
    uses = world.limits()

    assert [spent(use) for use in uses.values()] == [(0, 0, 0)] * 4
    assert [use.free_at for use in uses.values()] == [None] * 4
    assert [(use.most_per_hour, use.most_per_day, use.most_by_one_network) for use in uses.values()] == [
        (5, 20, 10),
        (5, 20, None),
        (10, 20, 10),
        (None, 5, None),
    ]
    assert [use.most_in_a_row for use in uses.values()] == [None, None, 100, 100]


def test_mails_are_the_mailboxs_failures_the_accounts(world: MailboxWorld) -> None:
    """Another account of the mailbox has failures of its own."""
    fail(world, 5, ADA, network=HOME)
    fail(world, 5, EVE, network=CAFE)
    assert spent(world.limits(ADA)["mails"]) == (2, 2, 1)
    assert spent(world.limits(ADA)["failures"]) == spent(world.limits(EVE)["failures"]) == (5, 5, 5)
    assert spent(world.limits("nobody")["failures"]) == (0, 0, 0)


def test_it_is_told_when_there_is_room_again(world: MailboxWorld) -> None:
    """Ten failures lock an account for an hour, counted from the first of them."""
    began = world.now
    fail(world, 10, network=HOME)
    assert world.limits()["failures"].free_at == began + HOUR
    assert world.limits()["trusted failures"].free_at is None
    world.wait(3_600)
    assert world.limits()["failures"].free_at is None
    assert spent(world.limits()["failures"]) == (0, 10, 10)


def test_the_longest_lock_of_a_mailbox_is_known(world: MailboxWorld) -> None:
    """Over all its accounts, for as long as it lasts."""
    assert world.mailbox.locked_until(world.now) is None

    fail(world, 10, ADA, network=HOME)
    world.wait(60)
    second = world.now
    fail(world, 10, EVE, network=CAFE)

    assert world.mailbox.locked_until(world.now) == second + HOUR
    assert world.mailbox.has_live_sign_ins is False

    world.wait(3_600)

    assert world.mailbox.locked_until(world.now) is None


def test_a_row_is_told() -> None:
    """It locks until a day after the last."""
    world = MailboxWorld(Policy(limits=LimitPolicy(failures_in_a_row=3)))
    fail(world, 3)
    use = world.limits()["failures"]
    assert (use.in_a_row, use.most_in_a_row) == (3, 3)
    assert use.free_at == world.now + DAY


def test_what_is_a_day_old_is_not_told(world: MailboxWorld) -> None:
    """Though nothing has happened since that would have made the mailbox forget it."""
    fail(world, 3)
    world.now += DAY + timedelta(seconds=1)
    assert [spent(use) for use in world.limits().values()] == [(0, 0, 0)] * 4
    assert world.limits()["failures"].in_a_row == 0


@pytest.mark.parametrize("trusted", [False, True])
def test_what_is_given_back_can_be_spent_again(world: MailboxWorld, trusted: bool) -> None:
    """Locked and throttled, then neither: as if nothing had happened."""
    for number in range(5):
        fail(world, 2, network=f"198.51.{number}.0/24", trusted=trusted)

    assert world.outcomes(world.sign_in(trusted=trusted))[-1] in {"signin.rejected locked", "signin.rejected throttled"}

    world.clear()

    assert [spent(use) for use in world.limits().values()] == [(0, 0, 0)] * 4

    signin_id = world.sign_in(trusted=trusted)
    world.run_jobs()
    world.submit(signin_id, RIGHT)

    assert world.outcomes(signin_id) == ["signin.code_sent", "signin.succeeded"]


def test_one_kind_alone_can_be_given_back(world: MailboxWorld) -> None:
    """The failures of an account, or the mails of the mailbox."""
    fail(world, 10)
    world.clear(mails=False)
    assert (world.limits()["mails"].last_day, world.limits()["failures"].last_day) == (2, 0)
    fail(world, 5)
    world.clear(failures=False)
    assert (world.limits()["mails"].last_day, world.limits()["failures"].last_day) == (0, 5)


def test_a_sign_in_gets_no_tries_back(world: MailboxWorld) -> None:
    """Five for each code, whatever an operator does."""
    signin_id = world.sign_in()
    world.run_jobs()
    for _ in range(4):
        world.submit(signin_id, "wrong")

    world.run_jobs()
    world.clear()
    world.submit(signin_id, "wrong")

    assert world.outcomes(signin_id)[-1] == "signin.failed too_many_attempts"


def test_a_new_run_has_not_spent_what_was_given_back(world: MailboxWorld) -> None:
    """The state is carried as it is."""
    fail(world, 10)
    world.clear()
    world.continue_as_new()
    assert [spent(use) for use in world.limits().values()] == [(0, 0, 0)] * 4
