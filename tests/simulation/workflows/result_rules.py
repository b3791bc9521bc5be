"""What CONTRACT promises about the results of one sign-in, whatever happens."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from activities.codes import normalise_code
from schemas.results import (
    TERMINAL_TYPES,
    CodeSent,
    OtpRejected,
    ResendRefused,
    Result,
    SignInExpired,
    SignInFailed,
    SignInSucceeded,
)
from schemas.signals import Submission
from tests.simulation.workflows.agenda import BEGINNING
from tests.simulation.workflows.cases import Case, wrong_codes
from tests.simulation.workflows.ledger import Signalled
from workflows.rules import submissions

_CLOCKS_S: Final = 5.0
"""By how much clocks differ at most, and a bit more."""


def one_end(case: Case) -> Iterator[str]:
    """Check that a sign-in whose first attempt was read has exactly one terminal result, and it is the last."""
    told = [one.result.type for one in case.results]
    places = [place for place, kind in enumerate(told) if kind in TERMINAL_TYPES]

    if case.story.handled_at is not None and len(places) != 1:
        yield f"{len(places)} terminal results: {told}"
    elif places and places[0] != len(told) - 1:
        yield f"the terminal result is not the last: {told}"


def in_order(case: Case) -> Iterator[str]:
    """Check that verdicts and refusals are published in the order in which they were decided.

    When a mail server accepted or refused a mail is known by another clock, and some refusals come from requests.
    """
    verdicts = [
        one for one in case.results if not isinstance(one.result, CodeSent) and not _is_refused_outside(one.result)
    ]
    for one, other in zip(verdicts, verdicts[1:], strict=False):
        if other.result.occurred_at < one.result.occurred_at - timedelta(seconds=_CLOCKS_S):
            yield f"{other.result.type} was decided before {one.result.type}, and published after it"


def _is_refused_outside(result: Result) -> bool:
    return isinstance(result, ResendRefused) and result.reason in ("undeliverable_email", "unknown_signin")


def honest_success(case: Case) -> Iterator[str]:
    """Check that only the right code succeeds, read in time, after a mail."""
    result = None if case.terminal is None else case.terminal.result
    if not isinstance(result, SignInSucceeded):
        return

    typed = case.ledger.typed.get(result.submission_id)
    signal = case.submissions.get(result.submission_id)
    if not case.code_sents:
        yield "succeeded without code_sent"
    if typed is None or typed.signin_id != case.name or normalise_code(typed.code) not in case.codes:
        yield "succeeded without the right code"
    elif signal is None or case.expires_at is None or signal.moment >= case.expires_at:
        yield "succeeded too late"


def honest_rejections(case: Case) -> Iterator[str]:
    """Check that only a wrong code is a wrong code, and each costs one try."""
    left = case.policy.otp.max_attempts
    for result in wrong_codes(case):
        left -= 1
        if result.attempts_left != left:
            yield f"{result.attempts_left} attempts left where {left} are"
        typed = case.ledger.typed.get(result.submission_id)
        if typed is None or typed.signin_id != case.name:
            yield "a rejection of what nobody typed"
        elif normalise_code(typed.code) in case.codes:
            yield "the right code was rejected as wrong"


def failed_when_no_try_is_left(case: Case) -> Iterator[str]:
    """Check that the last wrong code is followed by ``too_many_attempts``, and nothing else is."""
    is_used_up = [isinstance(one.result, OtpRejected) and one.result.attempts_left == 0 for one in case.results]
    used_up = any(is_used_up) and any(result.attempts_left == 0 for result in wrong_codes(case))
    result = None if case.terminal is None else case.terminal.result
    is_failed = isinstance(result, SignInFailed) and result.reason == "too_many_attempts"
    if is_failed != used_up:
        yield "too_many_attempts and the last wrong code do not come together"


def expired_on_time(case: Case) -> Iterator[str]:
    """Check that it expires after a mail, as of its expiry, and only if no right code was read in time."""
    result = None if case.terminal is None else case.terminal.result
    if not isinstance(result, SignInExpired):
        return
    if case.expires_at is None:
        yield "expired without code_sent"
        return

    if result.occurred_at != case.expires_at:
        yield f"expired as of {result.occurred_at}, not of {case.expires_at}"
    yield from _submissions_without_answer(case)
    yield from _attempts_without_answer(case)


def delivery_failed_only_without_mail(case: Case) -> Iterator[str]:
    """Check that ``delivery_failed`` contradicts neither ``code_sent`` nor what history knows of the mail."""
    result = None if case.terminal is None else case.terminal.result
    if not isinstance(result, SignInFailed) or result.reason != "delivery_failed":
        return

    if case.code_sents:
        yield "delivery_failed after code_sent"
    if case.answered:
        yield "delivery_failed, and a mail was accepted"


def code_sent_is_true(case: Case) -> Iterator[str]:
    """Check that ``code_sent`` says when the code expires, and a mail was accepted."""
    lifetime = timedelta(seconds=case.policy.otp.lifetime_s)
    sent = {one.task.attempt for one in case.mails}
    for attempt, result in case.code_sents.items():
        if result.expires_at != case.expires_at:
            yield "the code's expiry has moved"
        if attempt not in sent and not (case.mails and _succeeded(case)):
            yield f"code_sent for attempt {attempt}, and no mail was accepted"
        if attempt == 1 and case.opening is not None and result.expires_at != case.opening.moment + lifetime:
            yield "the code does not live as long as it should"


def code_sent_is_not_lost(case: Case) -> Iterator[str]:
    """Check that a mail of which history knows that it was accepted before the end has its ``code_sent``.

    Once a mail was told of, others wait for the verdict on a submission that came into the same task, and are dropped
    if that ends the sign-in: which of the two was first cannot be told (ADR 27).
    """
    if case.terminal is None:
        return

    may_be_dropped = bool(case.code_sents) and case.terminal.result.type in ("signin.succeeded", "signin.failed")
    for attempt, accepted_at in case.answered.items():
        is_before = accepted_at + timedelta(seconds=_CLOCKS_S) < case.terminal.result.occurred_at
        if attempt not in case.code_sents and is_before and not may_be_dropped:
            yield f"attempt {attempt} was mailed, and has no code_sent"


def resends_have_one_answer(case: Case) -> Iterator[str]:
    """Check that no attempt is refused and mailed."""
    refused = [one.result.attempt for one in case.results if isinstance(one.result, ResendRefused)]
    for attempt in refused:
        if attempt in case.code_sents:
            yield f"attempt {attempt} was refused and mailed"


def known_when_it_is(case: Case) -> Iterator[str]:
    """Check that no submission of the account is ``unknown_signin`` while the mailbox knows the sign-in."""
    opening = case.opening
    if opening is None or case.terminal is None or case.terminal.result.type == "signin.rejected":
        return

    for one in case.unknown:
        result = one.result
        if not isinstance(result, OtpRejected) or result.account != case.story.account:
            continue
        signal = case.submissions.get(result.submission_id)
        if signal is not None and opening.number < signal.number and signal.at < case.terminal.at:
            yield f"{result.submission_id}: unknown_signin, though the sign-in is known"


def _submissions_without_answer(case: Case) -> Iterator[str]:
    answered = {
        one.result.submission_id for one in [*case.results, *case.unknown] if isinstance(one.result, OtpRejected)
    }
    if _may_queue_be_full(case) or case.opening is None or case.expires_at is None:
        return

    for submission_id, signal in case.submissions.items():
        if _is_in_time(signal, case.expires_at) and submission_id not in answered:
            typed = case.ledger.typed[submission_id]
            right = "the right code" if normalise_code(typed.code) in case.codes else "a submission"
            yield f"{submission_id}: expired, and {right} has no answer"


def _may_queue_be_full(case: Case) -> bool:
    """Tell whether the mailbox had so many submissions, of all its sign-ins, that some may have no answer."""
    sign_ins = case.ledger.sign_ins
    own = {name for name, story in sign_ins.items() if story.mailbox == case.story.mailbox}
    submitted = sum(isinstance(one.content, Submission) and one.signin_id in own for one in case.ledger.signals)
    return submitted > submissions.MAX_QUEUED


def _attempts_without_answer(case: Case) -> Iterator[str]:
    answered = {one.result.attempt for one in case.results if isinstance(one.result, CodeSent | ResendRefused)}
    mailed = set(case.answered)
    for signal in case.signals:
        attempt = getattr(signal.content, "attempt", 1)
        is_in_time = case.expires_at is not None and _is_in_time(signal, case.expires_at)
        if signal.name == "refuse_resend" and is_in_time and attempt not in answered:
            yield f"attempt {attempt} was refused, and nobody was told"
    if lost := mailed - answered:
        yield f"attempts {sorted(lost)} were mailed, and nobody was told"


def _is_in_time(signal: Signalled, expires_at: datetime) -> bool:
    """Tell whether a signal was read before a code expired, and its mailbox had it by then."""
    return signal.moment < expires_at and BEGINNING + timedelta(seconds=signal.at) < expires_at


def _succeeded(case: Case) -> bool:
    return case.terminal is not None and case.terminal.result.type == "signin.succeeded"


Rule = Callable[[Case], Iterator[str]]

RESULT_RULES: Final[Sequence[Rule]] = (
    one_end,
    in_order,
    honest_success,
    honest_rejections,
    failed_when_no_try_is_left,
    expired_on_time,
    delivery_failed_only_without_mail,
    code_sent_is_true,
    code_sent_is_not_lost,
    resends_have_one_answer,
    known_when_it_is,
)
