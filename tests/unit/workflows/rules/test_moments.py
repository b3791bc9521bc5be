"""As of which moment a signal is decided, whatever the time of the task and the clocks of consumers."""

from datetime import timedelta

import pytest

from schemas.policy import LimitPolicy, Policy
from tests.fakes.mailbox_world import CAFE, HOME, RIGHT, WRONG, MailboxWorld
from workflows.rules.jobs import SendMail

DAY = timedelta(days=1)


def test_no_submission_is_decided_as_of_an_earlier_moment_than_the_one_before(world: MailboxWorld) -> None:
    """The clocks of two consumers differ. Charges stay in order of arrival."""
    signin_id = world.mailed_sign_in()
    world.wait(10)
    late = world.now
    world.submit(signin_id, WRONG)
    world.submit(signin_id, WRONG, read_at=late - timedelta(seconds=5))
    world.run_jobs()

    assert [result.occurred_at for result in world.results()[1:]] == [late, late]


def test_a_consumer_whose_clock_is_a_year_ahead_takes_no_mailbox_with_it(world: MailboxWorld) -> None:
    """Its time counts as five seconds ahead at most."""
    signin_id = world.mailed_sign_in()
    world.submit(signin_id, WRONG, read_at=world.now + timedelta(days=365))
    world.run_jobs()
    world.wait(6)
    world.submit(signin_id, RIGHT)

    assert world.outcomes()[-1] == "signin.succeeded"
    assert world.last_result().occurred_at == world.now


def test_a_consumer_that_is_ahead_delays_no_mail(world: MailboxWorld) -> None:
    """The moment of what it read is later than now. A mail is due when it is asked for."""
    world.submit("signin-other-0000000001", WRONG, read_at=world.now + timedelta(seconds=59))
    world.sign_in()

    assert any(isinstance(job, SendMail) for job in world.take_jobs())


def test_a_consumer_that_is_ahead_ends_no_code_long_before_its_time(world: MailboxWorld) -> None:
    """It read something for another sign-in of the mailbox, a minute ahead."""
    signin_id = world.mailed_sign_in()
    world.wait(290)
    world.submit("signin-other-0000000001", WRONG, read_at=world.now + timedelta(seconds=59))
    world.wait(4)
    world.submit(signin_id, RIGHT)

    assert world.outcomes(signin_id) == ["signin.code_sent", "signin.succeeded"]


@pytest.mark.parametrize("arrival", ["with the later signal", "before"])
def test_a_lock_does_not_depend_on_what_comes_after(arrival: str) -> None:
    """It ends a day after the first of four failures. A code was read before that, another signal after it."""
    world = MailboxWorld(Policy(limits=LimitPolicy(failures_per_hour=2, failures_per_day=4)))
    first = world.now
    for network, failures in (HOME, 2), (CAFE, 1):
        world.submit_wrong(world.mailed_sign_in(network=network), failures)
        world.run_jobs()
        world.wait(3_600)

    world.wait((first + DAY - world.now).total_seconds() - 100)
    signin_id = world.mailed_sign_in(network="203.0.113.0/24")
    world.submit(signin_id, WRONG)
    world.run_jobs()
    world.wait(50)
    world.submit(signin_id, WRONG)
    if arrival == "before":
        world.run_jobs()
    world.now += timedelta(seconds=100)
    world.submit("signin-other-0000000001", WRONG)

    assert world.outcomes(signin_id) == ["signin.code_sent", "otp.rejected wrong_code", "otp.rejected locked"]
