"""People who use a driven mailbox: its owner, and whoever floods it."""

import uuid

from schemas.policy import Policy
from schemas.signals import Challenge, Submission
from tests.fakes.driven_mailbox import DrivenMailbox
from tests.fakes.mailbox_world import ADA, HOME, WRONG, summary


def challenge(mailbox: DrivenMailbox, signin_id: str, attempt: int = 1, policy: Policy | None = None) -> Challenge:
    """Return an acceptable attempt."""
    return Challenge(
        signin_id=signin_id,
        attempt=attempt,
        email="ada@example.com",
        account=ADA,
        requested_at=mailbox.now,
        born_at=mailbox.now,
        decided_at=mailbox.now,
        key_id="k",
        network=HOME,
        policy=policy or mailbox.policy,
    )


def submission(
    mailbox: DrivenMailbox,
    signin_id: str = "",
    seal: str = WRONG,
    account: str = ADA,
) -> Submission:
    """Return a submission, of an unknown sign-in if none is named."""
    return Submission(
        signin_id=signin_id or uuid.uuid4().hex,
        submission_id=uuid.uuid4().hex,
        account=account,
        seal=seal,
        key_id="k",
        submitted_at=mailbox.now,
        read_at=mailbox.now,
    )


def sign_in(mailbox: DrivenMailbox, signin_id: str, *seals: str) -> None:
    """Sign in with these codes, one a second."""
    mailbox.signal(challenge(mailbox, signin_id))
    mailbox.wait(1)
    for seal in seals:
        mailbox.signal(submission(mailbox, signin_id, seal))
        mailbox.wait(1)


def flood(mailbox: DrivenMailbox, count: int, per_second: float) -> None:
    """Send submissions without a sign-in."""
    for _ in range(count):
        mailbox.signal(submission(mailbox))
        mailbox.wait(1 / per_second)


def spent(mailbox: DrivenMailbox) -> dict[str, int]:
    """Return what was spent of each budget in the last day."""
    return {use.budget: use.last_day for use in mailbox.limits(ADA).budgets}


def outcomes(mailbox: DrivenMailbox, signin_id: str) -> list[str]:
    """Return the published results of a sign-in."""
    return [summary(event.result) for event in mailbox.published if event.result.signin_id == signin_id]
