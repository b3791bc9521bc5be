"""What a mailbox makes of the mail server's answer, if the mailing worker's clock is wrong.

Each test names moments by the seconds since the sign-in was opened. Its code lives for 300 s.
"""

from datetime import timedelta

import pytest

from schemas.tasks import MailAccepted
from tests.fakes.mailbox_people import MailboxPeople
from tests.fakes.mailbox_run import SEND
from tests.fakes.mailbox_world import RIGHT

HOUR_S = 3_600
CLOCKS = pytest.mark.parametrize(("clock_s", "moment"), [(-HOUR_S, 0), (2, 2), (HOUR_S, 300)])
"""What the clock says when the mail server answers, and as of when the answer counts."""


@pytest.fixture
def people() -> MailboxPeople:
    """Give a mailbox with one sign-in whose mail is in flight."""
    people = MailboxPeople()
    people.sign_in()
    people.run.do_task()
    return people


@CLOCKS
def test_a_mail_is_refused_while_it_is_under_way(people: MailboxPeople, clock_s: float, moment: float) -> None:
    """Whatever the mailing worker's clock says: not before the mail was asked for, nor after the code expires."""
    at = people.run.now + timedelta(seconds=clock_s)
    people.run.fail(people.run.started(SEND)[0], "MailRefused", at.isoformat())
    people.wait(3)
    people.work()

    assert people.outcomes() == ["signin.failed delivery_failed"]
    assert people.moments() == [moment]


@CLOCKS
def test_a_mail_is_accepted_while_it_is_under_way(people: MailboxPeople, clock_s: float, moment: float) -> None:
    """A sign-in whose code was sent after it expired would contradict itself. A task that is done again agrees."""
    at = people.run.now + timedelta(seconds=clock_s)
    people.run.complete(people.run.started(SEND)[0], MailAccepted(at=at))
    people.wait(3)
    people.run.lose_task()
    people.wait(4)
    people.work()
    people.submit(people.signin_id, RIGHT)
    people.work()

    assert people.outcomes() == ["signin.code_sent", "signin.code_sent", "signin.succeeded"]
    assert people.moments() == [moment, moment, max(moment, 7)]
    assert people.are_repeats_equal()
