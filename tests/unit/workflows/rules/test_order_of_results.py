"""Results of a sign-in come in the order of what they answer."""

from datetime import timedelta

from schemas.policy import LimitPolicy, Policy
from tests.fakes.mailbox_world import RIGHT, WRONG, MailboxWorld


def test_a_refused_attempt_is_told_before_later_submissions(world: MailboxWorld) -> None:
    """All three waited for a worker. Results come in the order of what they answer."""
    signin_id = world.mailed_sign_in()
    world.submit(signin_id, WRONG)
    world.wait(2)
    world.attempt(signin_id, 2)
    world.wait(2)
    world.submit(signin_id, RIGHT)

    assert world.outcomes() == [
        "signin.code_sent",
        "otp.rejected wrong_code",
        "signin.resend_refused throttled",
        "signin.succeeded",
    ]


def test_a_lock_is_not_told_as_of_a_moment_before_the_mail() -> None:
    """The codes were typed before the mail server accepted the mail. Seed 340 of the simulation."""
    world = MailboxWorld(Policy(limits=LimitPolicy(failures_per_hour=1)))
    signin_id = world.sign_in()
    read_at = world.now
    mail = world.take_job()
    world.wait(8)
    world.finish(mail)
    world.submit(signin_id, WRONG, read_at=read_at)
    world.submit(signin_id, WRONG, read_at=read_at)

    assert world.outcomes() == ["signin.code_sent", "otp.rejected wrong_code", "otp.rejected locked"]
    assert {result.occurred_at for result in world.results()} == {world.now}


def test_a_sign_in_fails_no_earlier_than_a_later_attempt_was_refused(world: MailboxWorld) -> None:
    """The mail server refused the mail before, and the mailbox hears of it after. Seed 19574 of the simulation."""
    signin_id = world.sign_in()
    refused_at = world.now
    world.take_jobs()
    world.wait(20)
    world.attempt(signin_id, 2)
    world.mailbox.on_mail_refused(signin_id, 1, refused_at)
    world.mailbox.tick(world.now)
    world.jobs.clear()

    assert world.outcomes() == ["signin.resend_refused throttled", "signin.failed delivery_failed"]
    assert {result.occurred_at for result in world.results()} == {world.now}


def test_a_request_is_not_too_old_before_a_code_that_was_judged(world: MailboxWorld) -> None:
    """No worker was there, and codes were typed meanwhile. Seed 73735 of the simulation."""
    handed_over_at = world.now
    signin_id = world.sign_in(born_at=handed_over_at - timedelta(seconds=100))
    world.now += timedelta(seconds=250)
    for seconds in (10, 210):
        world.submit(signin_id, WRONG, read_at=handed_over_at + timedelta(seconds=seconds))

    assert world.outcomes() == ["otp.rejected wrong_code", "otp.rejected wrong_code", "signin.rejected stale"]
    assert [(result.occurred_at - handed_over_at).seconds for result in world.results()] == [10, 210, 210]


def test_a_refused_attempt_is_told_before_the_end_by_time(world: MailboxWorld) -> None:
    """The verdict that it waited for is heard before the next signal, as when a full run hands over."""
    signin_id = world.mailed_sign_in()
    world.wait(100)
    world.submit(signin_id, WRONG)
    compare = world.take_job()
    world.refuse(signin_id, 2)
    world.now += timedelta(seconds=201)
    world.jobs.remove(compare)
    world.mailbox.on_compared(signin_id, False)
    world.submit("signin-other-000000001", WRONG)

    assert world.outcomes(signin_id)[-2:] == ["signin.resend_refused challenge_failed", "signin.expired"]
