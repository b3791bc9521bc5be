"""An error in the rules ends the sign-in that it concerns, and no other."""

from datetime import datetime

import pytest

from schemas.signals import Rejection
from tests.fakes.mailbox_people import MailboxPeople
from tests.fakes.mailbox_world import START
from workflows.names import REJECT_SIGNAL
from workflows.rules import mailbox


class Bug(Exception):
    """Raised by a broken rule."""


def break_rule(monkeypatch: pytest.MonkeyPatch, rule: str, moment: datetime) -> None:
    """Let a rule raise when it is asked about one moment."""
    original = getattr(mailbox, rule)

    def broken(*arguments: object) -> object:
        if moment in arguments:
            raise Bug
        return original(*arguments)

    monkeypatch.setattr(mailbox, rule, broken)


@pytest.mark.parametrize("rule", ["obstacle_to_open", "new_sign_in", "moment_of_signal"])
def test_a_request_that_the_rules_cannot_judge_has_an_end(monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    """It is not live yet, so nothing else would ever end it. The next one is served."""
    people = MailboxPeople()
    break_rule(monkeypatch, rule, people.run.now)
    people.sign_in()
    people.work()
    people.wait(1)
    people.sign_in()
    people.work()

    assert people.outcomes() == ["signin.failed delivery_failed"]
    assert people.mails_under_way() == 1


def test_a_rejection_that_the_rules_cannot_judge_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """So does one that is repeated: its end is published once."""
    people = MailboxPeople()
    people.attempts["s" * 22] = 1
    rejection = Rejection(
        signin_id="s" * 22,
        email="ada@example.com",
        account="ada",
        reason="challenge_failed",
        decided_at=START,
    )
    break_rule(monkeypatch, "moment_of_signal", START)
    for _ in range(2):
        people.run.signal(REJECT_SIGNAL, rejection)
    people.work()

    assert people.outcomes() == ["signin.failed delivery_failed"]


@pytest.mark.parametrize("rule", ["obstacle_to_resend", "moment_of_signal"])
def test_a_later_attempt_that_the_rules_cannot_judge_ends_its_sign_in(
    monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    """Without the rules nobody knows what it would have done."""
    people = MailboxPeople()
    people.sign_in()
    people.work()
    people.accept_mail()
    people.work()
    people.wait(60)
    break_rule(monkeypatch, rule, people.run.now)
    people.send_again()
    people.work()

    assert people.outcomes() == ["signin.code_sent", "signin.failed delivery_failed"]
