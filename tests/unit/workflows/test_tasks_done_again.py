"""A workflow task that is done again decides the same, whatever has come meanwhile.

Each test names moments by the seconds since the sign-in was opened. Its code lives for 300 s.
"""

from datetime import timedelta

import pytest

from schemas.policy import LimitPolicy, Policy
from tests.fakes.mailbox_people import MailboxPeople
from tests.fakes.mailbox_run import SEND, VERIFY
from tests.fakes.mailbox_world import RIGHT, WRONG

MINUTE_S = 60
HOUR_S = 3_600


@pytest.fixture(params=[False, True], ids=["signals first", "single batch"])
def people(request: pytest.FixtureRequest) -> MailboxPeople:
    """Give a mailbox with one sign-in whose mail is in flight, under this SDK and under one to come."""
    people = MailboxPeople(single_batch=request.param)
    people.sign_in()
    people.run.do_task()
    return people


@pytest.mark.parametrize("comes_too", ["nothing", "a signal"])
def test_an_accepted_mail_is_told_before_the_sign_in_ends(people: MailboxPeople, comes_too: str) -> None:
    """The mail was accepted after 1 s, and the workers came back after 310 s.

    The SDK delivers a signal first. It is of a later moment than the end of the sign-in.
    """
    people.wait(1)
    people.accept_mail()
    people.wait(309)
    if comes_too == "a signal":
        people.submit("signin-other-0000000001", WRONG)
    people.work()

    assert people.outcomes() == ["signin.code_sent", "signin.expired"]
    assert people.moments() == [1, 300]


def test_a_mail_that_a_dead_worker_told_of_is_told_again_in_the_same_bytes(people: MailboxPeople) -> None:
    """The first worker published locally that the mail was accepted, and died."""
    people.wait(1)
    people.accept_mail()
    people.run.lose_task()
    people.wait(309)
    people.submit("signin-other-0000000001", WRONG)
    people.work()

    assert people.outcomes() == ["signin.code_sent", "signin.code_sent", "signin.expired"]
    assert people.are_repeats_equal()


@pytest.mark.parametrize("comes_too", ["nothing", "a signal"])
def test_a_code_that_was_read_in_time_succeeds_as_of_that_moment(people: MailboxPeople, comes_too: str) -> None:
    """Its task was done after 3,900 s: the workers were away. The success is as late, and honest."""
    people.accept_mail()
    people.work()
    people.wait(299)
    people.submit(people.signin_id, RIGHT)
    people.wait(HOUR_S)
    if comes_too == "a signal":
        people.submit("signin-other-0000000001", WRONG)
    people.work()

    assert people.outcomes() == ["signin.code_sent", "signin.succeeded"]
    assert people.moments()[-1] == 299


def test_a_compare_that_no_worker_can_make_for_an_hour_is_still_in_time(people: MailboxPeople) -> None:
    """The local try failed in time; the normal activity ended an hour later, together with a signal."""
    people.accept_mail()
    people.work()
    people.wait(299)
    people.submit(people.signin_id, RIGHT)
    people.run.do_task(failing=[VERIFY])
    people.wait(HOUR_S)
    people.finish_compare()
    people.submit("signin-other-0000000001", WRONG)
    people.work()

    assert people.outcomes() == ["signin.code_sent", "signin.succeeded"]
    assert people.moments()[-1] == 299


def test_a_code_that_was_read_at_the_end_is_late(people: MailboxPeople) -> None:
    """Exactly at its end a code has expired (SECURITY S2)."""
    people.accept_mail()
    people.work()
    people.wait(300)
    people.submit(people.signin_id, RIGHT)
    people.work()

    assert people.outcomes() == ["signin.code_sent", "signin.expired"]


@pytest.mark.parametrize("code", [RIGHT, WRONG])
def test_a_verdict_is_the_same_an_hour_later(people: MailboxPeople, code: str) -> None:
    """A worker told the verdict and died. An hour later the task is done again, with more signals."""
    people.accept_mail()
    people.work()
    people.wait(10)
    people.submit(people.signin_id, code)
    people.run.lose_task(local=lambda publication: True)
    people.wait(HOUR_S)
    people.submit(people.signin_id, RIGHT)
    people.work()

    verdict = "signin.succeeded" if code == RIGHT else "otp.rejected wrong_code"

    assert people.outcomes()[:3] == ["signin.code_sent", verdict, verdict]
    assert people.are_repeats_equal()


def test_a_second_mail_does_not_get_between_a_verdict_and_its_repeat(people: MailboxPeople) -> None:
    """A worker told the success and died. The second mail is accepted before the task is done again."""
    people.accept_mail()
    people.work()
    people.wait(MINUTE_S)
    people.send_again()
    people.work()
    people.wait(1)
    people.submit(people.signin_id, RIGHT)
    people.run.lose_task(local=lambda publication: True)
    people.accept_mail()
    people.wait(10)
    people.work()

    assert people.outcomes() == ["signin.code_sent", "signin.succeeded", "signin.succeeded"]
    assert people.are_repeats_equal()


def test_a_refused_resend_does_not_get_between_a_verdict_and_its_repeat(people: MailboxPeople) -> None:
    """A worker told the success and died. A resend comes too early before the task is done again."""
    people.accept_mail()
    people.work()
    people.wait(10)
    people.submit(people.signin_id, RIGHT)
    people.run.lose_task(local=lambda publication: True)
    people.send_again()
    people.work()

    assert people.outcomes() == ["signin.code_sent", "signin.succeeded", "signin.succeeded"]


def test_a_success_without_an_answer_of_the_mail_server_tells_of_the_mail_first(people: MailboxPeople) -> None:
    """The worker that sent the mail died; the person has the mail and types the code."""
    mail = people.run.started(SEND)[0]
    people.wait(5)
    people.submit(people.signin_id, RIGHT)
    people.work()

    assert people.outcomes() == []

    people.wait(5)
    people.run.fail(mail, "Timeout")
    people.work()

    assert people.outcomes() == ["signin.code_sent", "signin.succeeded"]
    assert people.moments() == [5, 5]


def test_a_refusal_says_when_the_mail_server_refused(people: MailboxPeople) -> None:
    """The task that hears of it may begin an hour later."""
    at = people.run.now + timedelta(seconds=2)
    people.run.fail(people.run.started(SEND)[0], "MailRefused", at.isoformat())
    people.wait(HOUR_S)
    people.work()

    assert people.outcomes() == ["signin.failed delivery_failed"]
    assert people.moments() == [2]


def test_a_lock_is_the_same_when_a_later_signal_has_come() -> None:
    """The workers were away for a day after one had told that the account is locked."""
    people = MailboxPeople(Policy(limits=LimitPolicy(failures_per_day=2, failures_per_hour=1)))
    people.sign_in()
    people.run.do_task()
    people.accept_mail()
    people.work()
    people.submit(people.signin_id, WRONG)
    people.work()
    people.wait(200)
    people.submit(people.signin_id, WRONG)
    people.run.lose_task(local=lambda publication: True)
    people.wait(24 * HOUR_S)
    people.submit("signin-other-0000000001", WRONG)
    people.work()

    assert people.outcomes().count("otp.rejected locked") == 2
    assert people.are_repeats_equal()


def test_a_mail_that_waits_for_its_turn_is_cancelled_with_its_sign_in(people: MailboxPeople) -> None:
    """The second mail waits for the rate of all mails, and the person types the first one's code."""
    people.accept_mail()
    people.work()
    people.wait(MINUTE_S)
    people.send_again()
    people.work()

    assert people.mails_under_way() == 1

    people.submit(people.signin_id, RIGHT)
    people.work()

    assert people.outcomes()[-1] == "signin.succeeded"
    assert people.mails_under_way() == 0


def test_a_mail_that_ended_with_the_code_is_not_cancelled(people: MailboxPeople) -> None:
    """One task delivers the right code and the end of the second mail."""
    people.accept_mail()
    people.work()
    people.wait(MINUTE_S)
    people.send_again()
    people.work()
    people.submit(people.signin_id, RIGHT)
    people.accept_mail()
    people.work()

    assert people.outcomes() == ["signin.code_sent", "signin.succeeded"]


@pytest.mark.parametrize("code", [RIGHT, WRONG])
def test_a_verdict_is_the_same_though_a_consumer_has_the_wrong_time(people: MailboxPeople, code: str) -> None:
    """A stamp an hour ahead counts as 5 s after the task's own time, which is later when the task is done again."""
    people.accept_mail()
    people.work()
    people.submit(people.signin_id, code, at=people.run.now + timedelta(hours=1))
    people.run.lose_task()
    people.wait(20)
    people.send_again()
    people.work()
    verdict = "signin.succeeded" if code == RIGHT else "otp.rejected wrong_code"

    assert people.outcomes()[:2] == ["signin.code_sent", verdict]
    assert people.outcomes().count(verdict) == 1


def test_limits_that_come_after_a_submission_do_not_judge_it(people: MailboxPeople) -> None:
    """A worker told the success and died. Before the task is done again, an attempt comes under stricter limits."""
    people.accept_mail()
    people.work()
    people.submit(people.signin_id, WRONG)
    people.work()
    people.submit(people.signin_id, RIGHT)
    people.run.lose_task()
    people.policy = Policy(limits=LimitPolicy(failures_per_hour=1))
    people.sign_in()
    people.work()

    assert people.outcomes()[2:4] == ["signin.succeeded", "signin.succeeded"]
    assert people.are_repeats_equal()


def test_a_compare_that_nobody_could_make_is_made_again(people: MailboxPeople) -> None:
    """A worker told the success and died. The next one could not compare in time, and then there was none."""
    people.accept_mail()
    people.work()
    people.submit(people.signin_id, RIGHT)
    people.run.lose_task()
    people.run.do_task(failing=[VERIFY])
    people.wait(400)
    people.run.time_out(people.run.started(VERIFY)[0])
    people.work()

    assert people.outcomes() == ["signin.code_sent", "signin.succeeded", "signin.succeeded"]
    assert people.are_repeats_equal()
