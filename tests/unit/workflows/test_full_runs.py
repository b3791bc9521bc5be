"""A run that has had its share of signals or events waits for what is in flight, but lets nobody wait in vain."""

import pytest

from schemas.limits import Clearing
from schemas.policy import Policy
from tests.fakes.driven_mailbox import DrivenMailbox
from tests.fakes.driven_people import challenge, flood, outcomes, submission
from tests.fakes.mailbox_world import ADA
from workflows import run_limits

SIGN_IN = "signin-000000000000001"
OWNER = "signin-000000000000009"


def test_a_trusted_mail_starts_while_a_strangers_waits_for_its_turn() -> None:
    """The rate of all mails is spent, so the stranger's waits for minutes. The owner's goes first (SECURITY S9)."""
    mailbox = DrivenMailbox(mail_s=200)
    mailbox.signal(challenge(mailbox, SIGN_IN))
    mailbox.wait(1)
    flood(mailbox, 1_000, per_second=200)

    mailbox.signal(challenge(mailbox, OWNER).model_copy(update={"trusted": True}))
    mailbox.wait(10)
    mailbox.close()

    assert outcomes(mailbox, OWNER) == ["signin.code_sent"]


@pytest.mark.timeout(120)
def test_a_flood_starves_no_mail_that_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is given up loses the mail's place among all mails, so the next run's goes before others.

    To be fast, limits and flood are a tenth of what they are.
    """
    monkeypatch.setattr(run_limits, "MAX_EVENTS", run_limits.MAX_EVENTS // 10)
    monkeypatch.setattr(run_limits, "LAST_EVENTS", run_limits.LAST_EVENTS // 10)
    mailbox = DrivenMailbox(mail_s=60)
    mailbox.signal(challenge(mailbox, SIGN_IN))

    flood(mailbox, 3_000, per_second=10)
    mailbox.wait(10)
    mailbox.close()

    assert outcomes(mailbox, SIGN_IN) == ["signin.code_sent", "signin.expired"]


def test_a_clearing_whose_audit_record_waits_holds_up_no_mail() -> None:
    """A full run waits until the operator has an answer."""
    mailbox = DrivenMailbox(Policy(signals_per_run=3))
    mailbox.endless.add("report_clearing_activity")
    clearing = Clearing(account=ADA, mails=True, failures=True, operator="grace", masked="a***@e***.com")

    mailbox.signal(submission(mailbox))
    mailbox.wait(1)
    mailbox.clear_limits(clearing)
    mailbox.signal(submission(mailbox))
    mailbox.wait(1)
    mailbox.signal(challenge(mailbox, SIGN_IN))
    mailbox.wait(10)
    mailbox.close()

    assert outcomes(mailbox, SIGN_IN) == ["signin.code_sent"]
