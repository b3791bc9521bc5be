"""What CONTRACT and SECURITY promise about mails and compares."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Final

from activities.addresses import parse_address
from schemas.signals import Challenge
from tests.simulation.workflows.agenda import BEGINNING
from tests.simulation.workflows.cases import Case
from workflows.names import mailbox_workflow_id

_CLOCKS_S: Final = 2.5


def mails_were_asked_for(case: Case) -> Iterator[str]:
    """Check that a mail goes to the address of attempt 1, with one code, for an attempt that was accepted."""
    parsed = parse_address(case.story.email)
    for one in case.mails:
        if parsed is None or one.mail.recipient.strip(" .") != case.story.email.strip(" ."):
            yield "a mail went to another address"
        if one.task.attempt not in case.attempts:
            yield f"a mail for attempt {one.task.attempt}, which nobody handed over"
    if len(case.codes) > 1:
        yield f"{len(case.codes)} codes"
    ids = {(one.mail.message_id, one.task.attempt) for one in case.mails}
    if len(ids) != len({attempt for _, attempt in ids}) or len(ids) != len({text for text, _ in ids}):
        yield "a Message-ID is not that of its attempt"


def no_mail_after_the_end(case: Case) -> Iterator[str]:
    """Check that no mail begins once the terminal result is published, and none is accepted after the code expired."""
    for one in case.mails:
        if case.terminal is not None and case.terminal.at < one.began_at:
            yield f"a mail began at {one.began_at:.3f}, after {case.terminal.result.type} at {case.terminal.at:.3f}"
        late_s = (BEGINNING + timedelta(seconds=one.at) - one.mail.expires_at).total_seconds()
        if late_s > _CLOCKS_S:
            yield f"a mail was accepted {late_s:.1f} s after its code expired"


def no_mail_for_the_rejected(case: Case) -> Iterator[str]:
    """Check that a sign-in that was rejected has had no mail."""
    if case.terminal is not None and case.terminal.result.type == "signin.rejected" and case.mails:
        yield "rejected, and a mail was sent"


def no_mail_twice(case: Case) -> Iterator[str]:
    """Check that a mail is not sent again once history knows that it was accepted.

    A run that is full beyond all limits ends with a mail in flight, though its answer may just have come (ADR 30).
    """
    mailbox = mailbox_workflow_id(case.story.mailbox or "")
    for attempt, answer in case.answers.items():
        again = [one.began_at for one in case.mails if one.task.attempt == attempt and one.began_at > answer.at]
        cuts = [cut.at for cut in case.ledger.cut_short if cut.mailbox == mailbox and cut.at >= answer.at]
        if again and not any(at <= again[0] for at in cuts):
            yield f"the mail of attempt {attempt} was sent again at {again[0]:.3f}"


def mails_are_timely(case: Case) -> Iterator[str]:
    """Check that a mail is for a fresh request, a while after the one before and a while before the code expires."""
    policy = case.policy
    mailed = {one.task.attempt for one in case.mails}
    accepted = [signal for attempt, signal in sorted(case.attempts.items()) if attempt in mailed]
    for signal in accepted:
        challenge = signal.content
        assert isinstance(challenge, Challenge)
        if challenge.decided_at - challenge.born_at > timedelta(seconds=policy.times.max_event_age_s):
            yield f"attempt {challenge.attempt} was stale, and mailed"
        left = case.mails[0].mail.expires_at - signal.moment
        if challenge.attempt > 1 and left < timedelta(seconds=policy.otp.shortest_resend_s):
            yield f"attempt {challenge.attempt} was mailed {left} before the code expires"

    moments = sorted(signal.moment for signal in accepted)
    for one, other in zip(moments, moments[1:], strict=False):
        if other - one < timedelta(seconds=policy.limits.send_cooldown_s):
            yield f"two mails within {other - one}"


def own_compares(case: Case) -> Iterator[str]:
    """Check that only submissions of the sign-in's own account are compared."""
    if any(one.account != case.story.account for one in case.ledger.compared if one.signin_id == case.name):
        yield "another account was compared"
    own = {getattr(signal.content, "seal", "") for signal in case.submissions.values()}
    if {one.seal for one in case.ledger.compared if one.signin_id == case.name} - own:
        yield "another account's submission was compared"


def few_compares(case: Case) -> Iterator[str]:
    """Check that no more submissions are compared than there are tries."""
    compared = {one.seal for one in case.ledger.compared if one.signin_id == case.name}
    if len(compared) > case.policy.otp.max_attempts:
        yield f"{len(compared)} compares where {case.policy.otp.max_attempts} are allowed"


MAIL_RULES: Final[Sequence[Callable[[Case], Iterator[str]]]] = (
    mails_were_asked_for,
    no_mail_after_the_end,
    no_mail_for_the_rejected,
    no_mail_twice,
    few_compares,
    own_compares,
    mails_are_timely,
)
