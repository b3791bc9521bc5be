"""Budgets of mails and failures, across sign-ins, networks and trusted devices."""

from datetime import timedelta

from schemas.policy import LimitPolicy, Policy
from schemas.results import OtpRejected, SignInRejected
from tests.fakes.mailbox_world import CAFE, GENEROUS, HOME, RIGHT, WRONG, MailboxWorld, summary


def test_a_mailbox_is_sent_five_mails_an_hour_and_twenty_a_day(world: MailboxWorld) -> None:
    """The budget holds across sign-ins. One network gets half of a day's (SECURITY S9)."""
    for _ in range(5):
        world.sign_in()

    throttled = world.last_result(world.sign_in())

    assert isinstance(throttled, SignInRejected)
    assert (throttled.reason, throttled.retry_after_s) == ("throttled", 3_600)

    world.wait(3_599)

    assert summary(world.last_result(world.sign_in())) == "signin.rejected throttled"

    world.wait(1)
    for _ in range(5):
        world.sign_in()

    world.run_jobs()
    world.wait(3_600)

    assert summary(world.last_result(world.sign_in())) == "signin.rejected throttled"
    assert summary(world.last_result(world.sign_in(network=CAFE))) == "signin.code_sent"


def test_a_mail_that_was_never_tried_costs_nothing(world: MailboxWorld) -> None:
    """The workers were away until the request was stale. The next one is not throttled for it."""
    decided_at = world.now
    world.now += timedelta(seconds=400)
    stale = [world.sign_in(decided_at=decided_at, born_at=decided_at) for _ in range(5)]
    fresh = world.sign_in()

    assert [outcome for signin_id in stale for outcome in world.outcomes(signin_id)] == ["signin.rejected stale"] * 5
    assert world.outcomes(fresh) == ["signin.code_sent"]
    assert world.limits()["mails"].last_hour == 1


def test_an_account_gets_ten_compares_an_hour_however_many_sign_ins_it_has() -> None:
    """The failures of twenty sign-ins at once are charged to one budget (SECURITY S4)."""
    world = MailboxWorld(GENEROUS)
    signin_ids = [world.sign_in() for _ in range(20)]
    world.run_jobs()
    for signin_id in signin_ids * 5:
        world.submit(signin_id, WRONG)

    outcomes = world.outcomes()

    assert outcomes.count("otp.rejected wrong_code") == 10
    assert outcomes.count("otp.rejected locked") == 90


def test_a_locked_account_is_rejected_until_the_hour_is_over(world: MailboxWorld) -> None:
    """The rejection says when to try again. After that time the account can sign in."""
    for network in (HOME, CAFE):
        signin_id = world.sign_in(network=network)
        world.submit_wrong(signin_id, 5)
        world.run_jobs()

    locked = world.last_result(world.sign_in())

    assert isinstance(locked, SignInRejected)
    assert (locked.reason, locked.retry_after_s) == ("locked", 3_600)

    world.wait(3_600)
    signin_id = world.sign_in()
    world.submit(signin_id, RIGHT)

    assert world.outcomes(signin_id) == ["signin.code_sent", "signin.succeeded"]


def test_a_lock_also_holds_for_sign_ins_that_are_live_already(world: MailboxWorld) -> None:
    """A right code is refused without charging a try, and so is another mail."""
    first = world.sign_in()
    second = world.sign_in(network=CAFE)
    third = world.sign_in()
    world.submit_wrong(first, 5)
    world.submit_wrong(second, 5)
    world.run_jobs()

    world.submit(third, RIGHT)
    result = world.last_result()

    assert isinstance(result, OtpRejected)
    assert (result.reason, result.attempts_left, result.retry_after_s) == ("locked", 5, 3_600)

    world.wait(60)
    world.attempt(third, 2)

    assert summary(world.last_result()) == "signin.resend_refused locked"


def test_the_right_code_refunds_the_tries_of_its_own_sign_in(world: MailboxWorld) -> None:
    """Whoever knew the code made the mistakes before it. Others may have made the rest (SECURITY S4)."""
    world.submit_wrong(world.sign_in(network=CAFE), 3)
    for _ in range(2):
        signin_id = world.sign_in()
        world.submit_wrong(signin_id, 4)
        world.submit(signin_id, RIGHT)

    assert world.outcomes(signin_id)[-1] == "signin.succeeded"
    assert world.mailbox.status().failures_last_day == 3


def test_the_owners_success_gives_an_attacker_no_tries(world: MailboxWorld) -> None:
    """A network that has spent its ten failures of the day has none left after the owner has signed in."""
    for _ in range(2):
        world.submit_wrong(world.mailed_sign_in(network=CAFE), 5)
        world.run_jobs()
    world.wait(3_600)
    owner = world.mailed_sign_in(network=HOME)
    world.submit(owner, RIGHT)

    assert world.outcomes(owner)[-1] == "signin.succeeded"

    refused = world.last_result(world.sign_in(network=CAFE))

    assert summary(refused) == "signin.rejected locked"


def test_the_right_code_ends_a_row_of_failures() -> None:
    """The lock is for rows of failures that no success interrupts."""
    world = MailboxWorld(Policy(limits=LimitPolicy(failures_in_a_row=4)))
    for _ in range(2):
        world.submit_wrong(world.mailed_sign_in(), 3)
        world.run_jobs()
        owner = world.mailed_sign_in(trusted=True)
        world.submit(owner, RIGHT)
        world.run_jobs()

    assert world.mailbox.status().failures_last_day == 6
    assert world.limits()["failures"].in_a_row == 0


def test_a_trusted_device_has_budgets_of_its_own(world: MailboxWorld) -> None:
    """Strangers can lock themselves out, but not the owner (SECURITY S5)."""
    for _ in range(2):
        world.submit_wrong(world.sign_in(), 5)
    for _ in range(3):
        world.sign_in()

    world.run_jobs()
    owner = world.sign_in(trusted=True)
    world.submit(owner, RIGHT)

    assert world.outcomes(owner) == ["signin.code_sent", "signin.succeeded"]


def test_one_network_cannot_lock_the_others_out(world: MailboxWorld) -> None:
    """Ten failures from one network lock it for a day; another network is free after an hour."""
    for _ in range(2):
        world.submit_wrong(world.sign_in(), 5)

    world.run_jobs()
    world.wait(3_600)

    assert summary(world.last_result(world.sign_in(network=CAFE))) == "signin.code_sent"

    world.wait(1)
    for _ in range(9):
        world.mailed_sign_in()
        world.wait(3_600)

    assert world.mailbox.status().failures_last_day == 10


def test_too_many_failures_in_a_row_lock_until_a_day_after_the_last() -> None:
    """The lock ends by itself."""
    world = MailboxWorld(Policy(limits=LimitPolicy(failures_in_a_row=7)))
    world.submit_wrong(world.sign_in(), 5)
    world.run_jobs()
    world.wait(600)
    world.submit_wrong(world.sign_in(), 5)
    world.run_jobs()

    assert world.mailbox.status().failures_last_day == 7

    locked = world.last_result(world.sign_in())

    assert isinstance(locked, SignInRejected)
    assert locked.retry_after_s == 86_400

    world.wait(86_399)

    assert summary(world.last_result(world.sign_in())) == "signin.rejected locked"

    world.wait(1)

    assert summary(world.last_result(world.sign_in())) == "signin.code_sent"


def test_a_compare_that_could_not_be_made_is_no_failure_in_a_row() -> None:
    """Only what was compared counts."""
    world = MailboxWorld(Policy(limits=LimitPolicy(failures_in_a_row=2)))
    signin_id = world.mailed_sign_in()
    for _ in range(5):
        world.submit(signin_id, RIGHT)
        world.finish(world.take_job(), "unknown key")

    world.submit(signin_id, WRONG)
    world.submit(signin_id, RIGHT)

    assert world.outcomes()[-2:] == ["otp.rejected wrong_code", "signin.succeeded"]
