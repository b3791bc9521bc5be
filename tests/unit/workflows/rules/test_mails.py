"""Mails: tried until the mail server accepts them, refuses them, or the code has expired."""

from datetime import timedelta

import pytest

from schemas.policy import OtpPolicy, Policy
from tests.fakes.mailbox_world import MailboxWorld
from workflows.rules.jobs import IssueCode, SendMail


def test_a_mail_is_retried_with_growing_pauses_and_charged_once(world: MailboxWorld) -> None:
    """The pauses are 2, 4, 8, 16 s, then 30 s each."""
    world.sign_in()
    world.issue_code()
    pauses = []

    for _ in range(6):
        world.finish(world.take_job(), "again")
        pause = world.next_wake_up()

        assert world.take_jobs() == []

        pauses.append(pause / timedelta(seconds=1))
        world.wait(pauses[-1])

    assert pauses == [2, 4, 8, 16, 30, 30]
    assert world.mailbox.status().mails_last_day == 1
    assert world.outcomes() == ["signin.code_sent"]


def test_a_refused_mail_ends_the_sign_in(world: MailboxWorld) -> None:
    """A 5xx answer is final."""
    world.sign_in()
    world.issue_code()
    world.finish(world.take_job(), "never")
    assert world.outcomes() == ["signin.failed delivery_failed"]


@pytest.mark.parametrize("fault", [None, "again", "never"])
def test_a_mail_whose_try_ends_after_the_sign_in_has_no_result(world: MailboxWorld, fault: str | None) -> None:
    """However the try ended, the terminal result stays the last one."""
    world.sign_in()
    world.issue_code()
    mail = world.take_job()
    world.wait(300)

    world.finish(mail, fault)

    assert world.outcomes() == ["signin.failed delivery_failed"]


def test_a_code_issued_after_the_end_is_not_mailed(world: MailboxWorld) -> None:
    """Issuing a code may take longer than the code lives."""
    world.sign_in()
    issue = world.take_job()
    assert isinstance(issue, IssueCode)
    world.wait(300)
    world.finish(issue)
    assert world.outcomes() == ["signin.failed delivery_failed"]


def test_a_request_that_goes_stale_before_its_first_mail_is_rejected() -> None:
    """If the code's key was missing for too long, no mail goes out."""
    world = MailboxWorld(Policy(otp=OtpPolicy(lifetime_s=600)))
    signin_id = world.sign_in()
    issue = world.take_job()

    world.wait(301)
    world.finish(issue)

    assert world.outcomes(signin_id) == ["signin.rejected stale"]


def test_a_request_whose_mail_is_in_flight_or_was_tried_does_not_go_stale() -> None:
    """A mail may wait for the rate of all workers, or for a mail server that is down."""
    world = MailboxWorld(Policy(otp=OtpPolicy(lifetime_s=600)))
    world.sign_in()
    world.issue_code()
    mail = world.take_job()
    world.wait(301)

    assert world.take_jobs() == []

    world.finish(mail, "again")
    world.wait(10)

    assert world.outcomes() == ["signin.code_sent"]


def test_held_jobs_do_not_start_and_wake_nobody(world: MailboxWorld) -> None:
    """Before continue-as-new the mailbox sleeps on, here until the code's end."""
    signin_id = world.mailed_sign_in()
    world.submit(signin_id, "right")
    world.wait(60)
    world.attempt(signin_id, 2)

    assert world.take_jobs(hold_mails=True, hold_compares=True) == []
    assert world.next_wake_up() == timedelta(seconds=240)

    mail, _compare = world.take_jobs()

    assert isinstance(mail, SendMail)
    assert world.mailbox.is_sending
    assert world.mailbox.is_comparing
