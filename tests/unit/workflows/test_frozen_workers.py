"""A worker freezes or dies in a workflow task, and another does it again. Each publishes what it has decided."""

import pytest

from tests.fakes.mailbox_people import MailboxPeople
from tests.fakes.mailbox_world import RIGHT

TASK_TIMED_OUT_S = 10


@pytest.fixture(params=[False, True], ids=["signals first", "single batch"])
def people(request: pytest.FixtureRequest) -> MailboxPeople:
    """Give a mailbox with a sign-in whose second mail is on its way, under this SDK and under one to come."""
    people = MailboxPeople(single_batch=request.param)
    people.sign_in()
    people.run.do_task()
    people.accept_mail()
    people.work()
    people.wait(60)
    people.send_again()
    people.work()
    return people


def test_a_second_mail_is_not_told_of_after_the_verdict(people: MailboxPeople) -> None:
    """The worker that froze had not heard of the right code. Seed 26304 of the simulation."""
    people.accept_mail()
    thaw = people.run.freeze_task()
    people.wait(TASK_TIMED_OUT_S)
    people.submit(people.signin_id, RIGHT)
    people.work()
    thaw()

    assert people.outcomes() == ["signin.code_sent", "signin.succeeded"]


def test_a_second_mail_is_told_of_once_history_holds_that_it_is(people: MailboxPeople) -> None:
    """A code that comes meanwhile waits: its verdict may be the last result."""
    people.accept_mail()
    people.run.do_task()
    people.submit(people.signin_id, RIGHT)
    people.work()

    assert people.outcomes() == ["signin.code_sent", "signin.code_sent", "signin.succeeded"]


def test_the_first_mail_is_told_of_in_the_same_bytes(people: MailboxPeople) -> None:
    """A worker that froze when it had heard of the first mail repeats what another has published."""
    people.accept_mail()
    people.sign_in()
    people.work()
    people.accept_mail()
    thaw = people.run.freeze_task()
    people.wait(TASK_TIMED_OUT_S)
    people.submit(people.signin_id, RIGHT)
    people.work()
    thaw()

    assert people.outcomes()[-3:] == ["signin.code_sent", "signin.succeeded", "signin.code_sent"]
    assert people.are_repeats_equal()


def test_a_verdict_is_published_once_history_holds_that_another_mail_is_cancelled(people: MailboxPeople) -> None:
    """A worker that published it and died would leave a mail to be sent after the end. Seed 12008 of the simulation."""
    people.submit(people.signin_id, RIGHT)
    people.run.lose_task()

    assert people.outcomes() == ["signin.code_sent"]

    people.work()

    assert people.outcomes() == ["signin.code_sent", "signin.succeeded"]
    assert people.mails_under_way() == 0
