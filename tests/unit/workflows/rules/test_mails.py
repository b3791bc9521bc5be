"""Mails: tried until the mail server accepts them, refuses them, or the code has expired."""

from datetime import timedelta

import pytest

from schemas.policy import LimitPolicy, OtpPolicy, Policy, TimePolicy
from tests.fakes.mailbox_world import RIGHT, MailboxWorld, summary
from workflows.rules.jobs import CompareCode, SendMail


def test_a_mail_is_retried_with_growing_pauses_and_charged_once(world: MailboxWorld) -> None:
    """The pauses are 2, 4, 8, 16 s, then 30 s each."""
    world.sign_in()
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
    world.finish(world.take_job(), "never")
    assert world.outcomes() == ["signin.failed delivery_failed"]


@pytest.mark.parametrize(("failures_per_hour", "verdict"), [(10, "wrong_code"), (1, "locked")])
def test_a_refused_mail_ends_the_sign_in_no_earlier_than_the_verdicts_before(
    failures_per_hour: int, verdict: str
) -> None:
    """The mail is refused during a compare, and another submission comes before that has ended (seed 3604)."""
    world = MailboxWorld(Policy(limits=LimitPolicy(failures_per_hour=failures_per_hour)))
    signin_id = world.sign_in()
    mail = world.take_job()
    world.submit_wrong(signin_id, 1)
    compare = world.take_job()
    world.wait(2)
    world.finish(mail, "never")
    world.wait(180)
    world.submit_wrong(signin_id, 1)
    world.finish(compare)
    world.run_jobs()

    verdicts = world.results(signin_id)

    assert [summary(one) for one in verdicts][-2:] == [f"otp.rejected {verdict}", "signin.failed delivery_failed"]
    assert verdicts[-1].occurred_at >= verdicts[-2].occurred_at


@pytest.mark.parametrize(
    ("fault", "outcomes"),
    [
        (None, ["signin.code_sent", "signin.expired"]),
        ("again", ["signin.failed delivery_failed"]),
        ("never", ["signin.failed delivery_failed"]),
    ],
)
def test_a_sign_in_whose_mail_is_in_flight_ends_when_that_has_ended(
    world: MailboxWorld, fault: str | None, outcomes: list[str]
) -> None:
    """A worker may have published already that the mail was accepted."""
    world.sign_in()
    mail = world.take_job()
    world.wait(300)
    world.submit("signin-other-0000000001", "x")

    assert world.take_jobs() == []

    world.finish(mail, fault)

    assert world.outcomes() == outcomes


@pytest.mark.parametrize("ends_by", ["a right code", "wrong codes"])
def test_a_mail_whose_try_ends_after_the_sign_in_has_no_result(world: MailboxWorld, ends_by: str) -> None:
    """Nobody waits for the second mail of a sign-in whose first one arrived."""
    signin_id = world.mailed_sign_in()
    world.wait(60)
    world.attempt(signin_id, 2)
    mail = world.take_job()

    if ends_by == "a right code":
        world.submit(signin_id, RIGHT)
    else:
        world.submit_wrong(signin_id, 5)
    while compares := [job for job in [*world.take_jobs(), *world.jobs] if job is not mail]:
        world.finish(compares[0])
    world.finish(mail)

    assert world.outcomes().count("signin.code_sent") == 1
    assert world.outcomes()[-1] in ("signin.succeeded", "signin.failed too_many_attempts")


def test_a_verdict_waits_for_the_first_mail(world: MailboxWorld) -> None:
    """The person was quicker than the answer of the mail server."""
    signin_id = world.sign_in()
    mail = world.take_job()
    world.submit(signin_id, RIGHT)
    world.finish(world.take_job())

    assert world.take_jobs() == []

    world.wait(1)
    world.finish(mail)

    assert world.outcomes() == ["signin.code_sent", "signin.succeeded"]


@pytest.mark.parametrize("fault", ["again", "never"])
def test_a_right_code_proves_that_a_mail_arrived(world: MailboxWorld, fault: str) -> None:
    """The answer of the mail server was lost, or a worker died before it could report it."""
    signin_id = world.sign_in()
    mail = world.take_job()
    world.submit(signin_id, RIGHT)
    compare = world.take_job()
    world.finish(mail, fault)
    world.finish(compare)

    assert world.outcomes() == ["signin.code_sent", "signin.succeeded"]


def test_no_mail_starts_while_a_submission_is_undecided(world: MailboxWorld) -> None:
    """If the code is right, no mail is needed, and a worker that died may have said so."""
    signin_id = world.sign_in()
    world.finish(world.take_job(), "again")
    world.wait(2)
    world.submit(signin_id, RIGHT)
    compare = world.take_job()

    assert isinstance(compare, CompareCode)

    world.finish(compare)

    assert world.outcomes() == ["signin.code_sent", "signin.succeeded"]


def test_a_refused_second_mail_refuses_the_resend(world: MailboxWorld) -> None:
    """The first mail arrived, and its code still succeeds."""
    signin_id = world.mailed_sign_in()
    world.wait(60)
    world.attempt(signin_id, 2)
    world.finish(world.take_job(), "never")
    world.submit(signin_id, RIGHT)

    assert world.outcomes() == [
        "signin.code_sent",
        "signin.resend_refused undeliverable_email",
        "signin.succeeded",
    ]


@pytest.mark.parametrize("second", [None, "never"])
def test_a_refused_first_mail_leaves_the_end_to_the_second(world: MailboxWorld, second: str | None) -> None:
    """The sign-in fails if no mail of it was accepted."""
    signin_id = world.sign_in()
    first = world.take_job()
    world.wait(60)
    world.attempt(signin_id, 2)
    world.finish(first, "never")
    world.finish(world.take_job(), second)

    assert world.outcomes() == ["signin.failed delivery_failed" if second else "signin.code_sent"]


def test_a_sign_in_without_a_code_fails(world: MailboxWorld) -> None:
    """No worker could choose a key. It costs no mail, and a hand-over that is repeated changes nothing."""
    signin_id = world.sign_in(key_id=None)
    world.attempt(signin_id, 1)

    assert world.outcomes() == ["signin.failed delivery_failed"]
    assert world.limits()["mails"].last_day == 0


def test_a_request_that_goes_stale_before_its_first_mail_is_rejected() -> None:
    """If a full run held it for too long, no mail goes out."""
    world = MailboxWorld(Policy(otp=OtpPolicy(lifetime_s=600)))
    signin_id = world.sign_in()
    world.take_jobs(hold_mails=True)

    world.wait(301)

    assert world.outcomes(signin_id) == ["signin.rejected stale"]


def test_a_request_whose_mail_is_in_flight_or_was_tried_does_not_go_stale() -> None:
    """A mail may wait for the rate of all workers, or for a mail server that is down."""
    world = MailboxWorld(Policy(otp=OtpPolicy(lifetime_s=600)))
    world.sign_in()
    mail = world.take_job()
    world.wait(301)

    assert world.take_jobs() == []

    world.finish(mail, "again")
    world.wait(10)

    assert world.outcomes() == ["signin.code_sent"]


def test_a_mail_that_a_full_run_gave_up_does_not_go_stale(world: MailboxWorld) -> None:
    """It may have been accepted, so nobody says that no mail was sent. Its next try goes before others."""
    signin_id = world.sign_in(born_at=world.now - timedelta(seconds=290))
    first = world.take_job()
    world.now += timedelta(seconds=11)

    world.continue_as_new()
    again = world.take_job()

    assert isinstance(first, SendMail)
    assert isinstance(again, SendMail)
    assert (first.was_given_up, again.was_given_up) == (False, True)

    world.submit(signin_id, RIGHT)

    assert world.outcomes() == ["signin.code_sent", "signin.succeeded"]


def test_held_jobs_do_not_start_and_wake_nobody(world: MailboxWorld) -> None:
    """Before continue-as-new the mailbox sleeps on, here until the code's end."""
    submitted = world.mailed_sign_in()
    resent = world.mailed_sign_in()
    world.submit(submitted, "right")
    world.wait(60)
    world.attempt(resent, 2)

    assert world.take_jobs(hold_mails=True, hold_compares=True) == []
    assert world.next_wake_up() == timedelta(seconds=240)

    _compare, mail = world.take_jobs()

    assert isinstance(mail, SendMail)
    assert world.mailbox.is_sending
    assert world.mailbox.is_comparing


def test_a_sign_in_keeps_the_age_that_its_request_may_have(world: MailboxWorld) -> None:
    """Its mail waits while the run is full; then somebody signs in under a lower limit."""
    signin_id = world.sign_in()
    world.take_jobs(hold_mails=True)
    world.wait(100)
    world.sign_in(policy=Policy(times=TimePolicy(max_event_age_s=60)))

    assert world.outcomes(signin_id) == ["signin.code_sent"]
