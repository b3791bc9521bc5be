"""What CONTRACT promises about the members of results, and about when they come."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from schemas.results import CodeSent, OtpRejected, ResendRefused
from tests.simulation.workflows.agenda import BEGINNING
from tests.simulation.workflows.cases import Case
from tests.simulation.workflows.consumers import attempt_name, trace_of
from tests.simulation.workflows.ledger import Ledger
from schemas.signals import Submission
from tests.simulation.workflows.outside import WITHOUT_MAIL
from workflows.rules import submissions

_CLOCKS: Final = timedelta(seconds=2.5)
_WAIT: Final = timedelta(seconds=10)
_ROUNDED_UP: Final = timedelta(seconds=1)
_WAIT_FOR_FIRST: Final = timedelta(seconds=60)
_SITEVERIFY: Final = timedelta(seconds=25)
"""Siteverify is tried for 30 s, and no longer once a further try would not fit in."""

_PATIENCE_S: Final = 60.0
"""Upstream may give up on a sign-in so long after its code has expired."""

_AFTERMATH_S: Final = 120.0
"""So long what went wrong may still delay something: a pause between two tries, a mail on its way."""

_WITHOUT_ACCOUNT: Final = frozenset({"stale", "invalid_email"})


def of_its_account(case: Case) -> Iterator[str]:
    """Check that results name the sign-in's account, once it is known."""
    for one in case.results:
        is_unknown = one.result.account is None and getattr(one.result, "reason", None) in _WITHOUT_ACCOUNT
        if one.result.account != case.story.account and not is_unknown:
            yield f"{one.result.type} names the account {one.result.account}"


def resend_after_the_pause(case: Case) -> Iterator[str]:
    """Check that ``resend_after`` is a pause after the attempt was accepted."""
    pause = timedelta(seconds=case.policy.limits.send_cooldown_s)
    for one in case.results:
        if isinstance(one.result, CodeSent) and one.result.attempt in case.attempts:
            expected = case.attempts[one.result.attempt].moment + pause
            if one.result.resend_after != expected:
                yield f"resend_after is {one.result.resend_after}, not {expected}"


def locked_takes_no_try(case: Case) -> Iterator[str]:
    """Check that ``locked`` leaves as many tries as the wrong codes before it have left."""
    left = case.policy.otp.max_attempts
    for one in case.results:
        if isinstance(one.result, OtpRejected) and one.result.reason == "wrong_code":
            left -= 1
        elif isinstance(one.result, OtpRejected) and one.result.attempts_left != left:
            yield f"locked with {one.result.attempts_left} attempts left where {left} are"


def waits_for_the_first_attempt(case: Case) -> Iterator[str]:
    """Check that a later attempt waits a minute for attempt 1."""
    for one in case.unknown:
        if isinstance(one.result, ResendRefused):
            waited = one.result.occurred_at - _asked_at(case, one.result.attempt)
            if waited < _WAIT_FOR_FIRST:
                yield f"attempt {one.result.attempt} waited {waited} for attempt 1"


def siteverify_is_tried_long(case: Case) -> Iterator[str]:
    """Check that a challenge is not given up soon."""
    for one in case.results:
        if getattr(one.result, "reason", None) == "challenge_unavailable":
            waited = one.result.occurred_at - _asked_at(case, getattr(one.result, "attempt", 1))
            if waited < _SITEVERIFY:
                yield f"siteverify was given up after {waited}"


def only_who_passed_is_mailed(case: Case) -> Iterator[str]:
    """Check that each mail is for an attempt with a good token, to a domain that takes mail, and says who asked."""
    for one in case.mails:
        asked = case.story.asked.get(one.task.attempt)
        if asked is not None and not asked.is_good:
            yield f"attempt {one.task.attempt} was mailed, and its challenge failed"
        if asked is not None and (one.mail.ip, one.mail.browser, one.mail.locale) != (asked.ip, "Firefox", "de-CH"):
            yield f"the mail of attempt {one.task.attempt} does not say who asked for it"
        if one.mail.recipient.strip().endswith(f"@{WITHOUT_MAIL}"):
            yield "a mail to a domain without mail"


def read_when_it_was_read(case: Case) -> Iterator[str]:
    """Check that a submission counts from when a consumer read it."""
    for signal in case.signals:
        if isinstance(signal.content, Submission):
            reads = [
                BEGINNING + timedelta(seconds=at) for at in case.ledger.reads.get(signal.content.submission_id, ())
            ]
            if not any(abs(at - signal.content.read_at) < _CLOCKS for at in reads):
                yield f"{signal.content.submission_id} counts as read at {signal.content.read_at}"


def ends_in_time(case: Case) -> Iterator[str]:
    """Check that a sign-in ends within a minute after its code expires, if nothing went wrong for a while."""
    calm_since = case.ledger.calm_since
    if calm_since is None or case.terminal is None or case.opening is None:
        return

    expires_at = case.opening.moment + timedelta(seconds=case.policy.otp.lifetime_s)
    expires_s = max((expires_at - BEGINNING).total_seconds(), calm_since + _AFTERMATH_S)
    if case.terminal.at > expires_s + _PATIENCE_S:
        yield f"it ended {case.terminal.at - expires_s:.1f} s after its code expired"


def in_its_trace(case: Case) -> Iterator[str]:
    """Check that a result is in the trace of the event that it answers, or in that of the sign-in."""
    for one in [*case.results, *case.unknown]:
        attempt = {"signin_id": case.name, "attempt": getattr(one.result, "attempt", 1)}
        result = one.result
        name = attempt_name(attempt)
        if isinstance(result, OtpRejected) and result.reason == "unknown_signin":
            name = result.submission_id
        if dict(one.headers).get("traceparent") != trace_of(name):
            yield f"{one.result.type} is not in the trace of {name}"


def judge_waiting(ledger: Ledger) -> Iterator[str]:
    """Yield submissions that did not wait for their sign-in, though few others did, or that waited for too long."""
    first: dict[tuple[str, str], datetime] = {}
    for signal in ledger.signals:
        if isinstance(signal.content, Submission):
            first.setdefault((signal.content.account, signal.content.submission_id), signal.moment)

    for one in {one.ce_id: one for one in ledger.published}.values():
        result = one.result
        if not isinstance(result, OtpRejected) or result.reason != "unknown_signin":
            continue
        story = ledger.sign_ins.get(result.signin_id)
        moment = first.get((result.account or "", result.submission_id))
        if moment is None or (story is not None and story.account != result.account):
            continue  # of another account: the answer may come at once

        waited = result.occurred_at - moment
        others = sum(moment - _WAIT - _ROUNDED_UP <= at <= moment for at in first.values()) - 1
        is_crowded = not waited and others >= submissions.MAX_WAITING
        if not is_crowded and not _WAIT <= waited <= _WAIT + _ROUNDED_UP:
            yield f"{result.submission_id}: unknown_signin after {waited}"


def _asked_at(case: Case, attempt: int) -> datetime:
    return BEGINNING + timedelta(seconds=case.story.asked[attempt].at)


ANSWER_RULES: Final[Sequence[Callable[[Case], Iterator[str]]]] = (
    of_its_account,
    resend_after_the_pause,
    locked_takes_no_try,
    waits_for_the_first_attempt,
    siteverify_is_tried_long,
    only_who_passed_is_mailed,
    read_when_it_was_read,
    ends_in_time,
    in_its_trace,
)
