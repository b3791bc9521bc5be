"""An operator clears limits by an update, which no history holds until the task that was told of it has completed."""

from schemas.limits import Clearing
from schemas.policy import LimitPolicy, Policy
from tests.fakes.mailbox_people import MailboxPeople
from tests.fakes.mailbox_world import ADA, RIGHT, WRONG
from workflows.names import CLEAR_LIMITS_UPDATE


def test_limits_are_cleared_only_once_history_holds_it() -> None:
    """An update is in the server's memory alone until a task that was told of it has completed.

    A worker was told that an operator clears the limits, and of a code that was typed. It died with its task, and the
    server was restarted: the task that is done again knows of the code alone.
    """
    people = MailboxPeople(Policy(limits=LimitPolicy(failures_per_hour=2, failures_per_day=4)))
    people.sign_in()
    people.work()
    people.accept_mail()
    people.work()
    for _ in range(3):
        people.submit(people.signin_id, WRONG)
        people.work()
    clearing = Clearing(account=ADA, mails=True, failures=True, operator="grace", masked="a***@e***.com")

    people.submit(people.signin_id, RIGHT)
    people.run.update(CLEAR_LIMITS_UPDATE, clearing)
    people.run.lose_task()
    people.run.forget_updates()
    people.wait(3_600)
    people.work()

    assert people.outcomes() == [
        "signin.code_sent",
        *["otp.rejected wrong_code"] * 2,
        *["otp.rejected locked"] * 2,
        "signin.expired",
    ]
