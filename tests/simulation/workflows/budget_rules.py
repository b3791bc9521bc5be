"""A reference model of the budgets, written from SECURITY S4, S5 and S9 alone, and how much it allows."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from schemas.policy import Policy
from schemas.results import OtpRejected, ResendRefused, SignInRejected, SignInSucceeded
from tests.simulation.workflows.agenda import BEGINNING
from tests.simulation.workflows.cases import Case
from tests.simulation.workflows.ledger import Ledger
from workflows.names import mailbox_workflow_id
from workflows.rules import attempts

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
_SLACK: Final = timedelta(seconds=5)


class Clearance(NamedTuple):
    """Budgets were given back at some moment between two."""

    since: datetime
    until: datetime


class Charge(NamedTuple):
    """One unit of a budget, spent as of a moment.

    ``done_at``: when it was done last. A task that begins late applies what an operator has cleared meanwhile
    before it decides the submissions that came earlier. Of those that waited for their request, all count as of when
    that came: only ``done_at`` tells their order.
    """

    at: datetime
    done_at: datetime
    network: str
    what: str

    def is_cleared_since(self, first: "Charge", clearings: Sequence[Clearance]) -> bool:
        """Tell whether budgets may have been cleared between an earlier charge and this one."""
        end = max(self.at, self.done_at) + _SLACK
        return any(first.at - _SLACK <= each.until and each.since <= end for each in clearings)


class Window(NamedTuple):
    """At most ``limit`` units in ``span``, of each network alone or of all together."""

    span: timedelta
    limit: int
    is_by_network: bool = False


def mail_windows(policy: Policy, *, is_trusted: bool) -> list[Window]:
    """Return the limits on mails to one mailbox."""
    limits = policy.limits
    windows = [Window(HOUR, limits.sends_per_hour), Window(DAY, limits.sends_per_day)]
    return windows if is_trusted else [*windows, Window(DAY, limits.sends_per_day // 2, is_by_network=True)]


def failure_windows(policy: Policy, *, is_trusted: bool) -> list[Window]:
    """Return the limits on failures of one account."""
    limits = policy.limits
    if is_trusted:
        return [Window(DAY, limits.trusted_failures_per_day)]
    return [
        Window(HOUR, limits.failures_per_hour),
        Window(DAY, limits.failures_per_day),
        Window(DAY, limits.failures_per_day // 2, is_by_network=True),
    ]


def judge_budgets(cases: Sequence[Case], ledger: Ledger, policy: Policy) -> Iterator[str]:
    """Yield what was spent beyond the limits, and what was refused within them."""
    for is_trusted in (False, True):
        own = [case for case in cases if case.story.is_trusted is is_trusted]
        mails = mail_windows(policy, is_trusted=is_trusted)
        failures = failure_windows(policy, is_trusted=is_trusted)

        for mailbox, charges in _grouped(own, lambda case: case.story.mailbox, _mails).items():
            yield from _overspent(f"mails of {mailbox}", charges, mails, _mails_cleared(ledger, mailbox))
        for account, charges in _grouped(own, lambda case: case.story.account, _guesses).items():
            yield from _overspent(f"failures of {account}", charges, failures, _failures_cleared(ledger, account))
        yield from _locked_for_nothing(own, failures, policy)
        yield from _throttled_for_nothing(own, cases, mails, policy)
    yield from _too_many_in_a_row(cases, policy, ledger)


def _mails_cleared(ledger: Ledger, mailbox: str) -> list[Clearance]:
    own = [each for each in ledger.clearings if each.mailbox == mailbox_workflow_id(mailbox)]
    return [Clearance(_moment(each.at), _moment(each.until)) for each in own if each.clearing.mails]


def _failures_cleared(ledger: Ledger, account: str) -> list[Clearance]:
    own = [each for each in ledger.clearings if each.clearing.account == account]
    return [Clearance(_moment(each.at), _moment(each.until)) for each in own if each.clearing.failures]


def _mails(case: Case) -> Iterator[Charge]:
    """Yield the mails that a mail server accepted, as of when their attempts were accepted."""
    sent = {one.task.attempt: _moment(one.at) for one in case.mails}
    for attempt, sent_at in sent.items():
        signal = case.attempts.get(attempt)
        if signal is not None:
            yield Charge(signal.moment, sent_at, case.story.network, f"{case.name} attempt {attempt}")


def _guesses(case: Case) -> Iterator[Charge]:
    """Yield the compares of a sign-in that did not succeed: a success gives its own tries back."""
    if case.terminal is None or case.terminal.result.type != "signin.succeeded":
        yield from compares(case)


def compares(case: Case) -> Iterator[Charge]:
    """Yield the submissions of a sign-in that were compared, as of when they count."""
    seals = {one.seal: _moment(one.at) for one in case.ledger.compared if one.signin_id == case.name}
    for signal in case.submissions.values():
        seal = getattr(signal.content, "seal", "")
        if seal in seals:
            at = _queued_at(case, signal.moment)
            yield Charge(at, seals.pop(seal), case.story.network, f"{case.name} {seal[:6]}")


def _moment(at: float) -> datetime:
    return BEGINNING + timedelta(seconds=at)


def _queued_at(case: Case, moment: datetime) -> datetime:
    """Return when a submission counts: one that overtook its request counts when that comes."""
    return moment if case.opening is None else max(moment, case.opening.moment)


def _grouped(
    cases: Sequence[Case], key: Callable[[Case], str | None], charges: Callable[[Case], Iterator[Charge]]
) -> dict[str, list[Charge]]:
    groups: defaultdict[str, list[Charge]] = defaultdict(list)
    for case in cases:
        groups[key(case) or ""].extend(charges(case))
    return groups


def _overspent(
    what: str, charges: list[Charge], windows: Sequence[Window], clearings: Sequence[Clearance]
) -> Iterator[str]:
    """Yield where more was spent within a span than its limit. What was cleared in between does not count."""
    for window in windows:
        networks = {charge.network for charge in charges} if window.is_by_network else {""}
        for network in networks:
            own = sorted(charge for charge in charges if network in ("", charge.network))
            for first, last in zip(own, own[window.limit :], strict=False):
                if last.at - first.at < window.span - _SLACK and not last.is_cleared_since(first, clearings):
                    yield f"{what}: more than {window.limit} in {window.span} {network}: {last.what}"


def _too_many_in_a_row(cases: Sequence[Case], policy: Policy, ledger: Ledger) -> Iterator[str]:
    """Yield compares of an account that had failed too often in a row. A day without a failure ends the row."""
    limit = policy.limits.failures_in_a_row
    for is_trusted in (False, True):
        own = [case for case in cases if case.story.is_trusted is is_trusted]
        for account, charges in _grouped(own, lambda case: case.story.account, compares).items():
            breaks = [each for case in cases if case.story.account == account for each in _success(case)]
            clearings = _failures_cleared(ledger, account)
            charges.sort()
            for place in range(limit, len(charges)):
                row = charges[place - limit : place + 1]
                is_broken = row[-1].is_cleared_since(row[0], [*breaks, *clearings])
                has_ended = any(later.at - one.at > DAY - _SLACK for one, later in zip(row, row[1:], strict=False))
                if not has_ended and not is_broken:
                    yield f"failures of {account}: more than {limit} in a row: {row[-1].what}"


def _success(case: Case) -> Iterator[Clearance]:
    """Yield when a sign-in succeeded, if it did: its result may be of the later moment at which a mail was accepted."""
    result = None if case.terminal is None else case.terminal.result
    if isinstance(result, SignInSucceeded):
        signal = case.submissions.get(result.submission_id)
        since = result.occurred_at if signal is None else _queued_at(case, signal.moment)
        yield Clearance(min(since, result.occurred_at), result.occurred_at)


def _locked_for_nothing(cases: Sequence[Case], windows: Sequence[Window], policy: Policy) -> Iterator[str]:
    """Yield locks of accounts for which not even all submissions together would be enough."""
    tried: defaultdict[str, list[datetime]] = defaultdict(list)
    for case in cases:
        tried[case.story.account or ""] += [_queued_at(case, signal.moment) for signal in case.submissions.values()]

    enough = min(window.limit for window in windows)
    for case in cases:
        for one in case.results:
            result = one.result
            is_locked = getattr(result, "reason", None) == "locked"
            before = [at for at in tried[case.story.account or ""] if at <= result.occurred_at + _SLACK]
            recent = [at for at in before if result.occurred_at - at < DAY + _SLACK]
            is_for_nothing = (
                len(recent) < enough and len(before) < policy.limits.failures_in_a_row
            )  # that may last days
            if isinstance(result, OtpRejected | SignInRejected | ResendRefused) and is_locked and is_for_nothing:
                yield f"{case.name}: locked after {len(recent)} submissions of the account"
            if isinstance(result, OtpRejected) and is_locked and not _is_full(case, cases, result.occurred_at, windows):
                yield f"{case.name}: locked, though successes have given enough back"


def _is_full(case: Case, cases: Sequence[Case], at: datetime, windows: Sequence[Window]) -> bool:
    """Tell whether an account has failed as often as it may. Submissions have their turns, so all before are judged."""
    own = [other for other in cases if other.story.account == case.story.account]
    failed = [other for other in own if not _has_succeeded(other, at - _SLACK)]
    spent = [charge for other in failed for charge in compares(other) if charge.at <= at]
    for window in windows:
        inside = [charge for charge in spent if charge.at > at - window.span - _SLACK]
        if window.is_by_network:
            inside = [charge for charge in inside if charge.network == case.story.network]
        if len(inside) >= window.limit:
            return True

    return len(spent) >= case.policy.limits.failures_in_a_row


def _has_succeeded(case: Case, by: datetime) -> bool:
    result = None if case.terminal is None else case.terminal.result
    return result is not None and result.type == "signin.succeeded" and result.occurred_at < by


def _throttled_for_nothing(
    cases: Sequence[Case], everyone: Sequence[Case], windows: Sequence[Window], policy: Policy
) -> Iterator[str]:
    """Yield refusals of mails though not even all attempts together would be enough."""
    asked: defaultdict[str, list[datetime]] = defaultdict(list)
    for case in cases:
        asked[case.story.mailbox or ""] += [signal.moment for signal in case.attempts.values()]

    enough = min(window.limit for window in windows)
    cooldown = timedelta(seconds=policy.limits.send_cooldown_s)
    for case in cases:
        for one in case.results:
            result = one.result
            if getattr(result, "reason", None) != "throttled":
                continue
            own = [signal.moment for signal in case.attempts.values()]
            is_cooling = sum(result.occurred_at - cooldown - _SLACK < at for at in own) > 1
            recent = [at for at in asked[case.story.mailbox or ""] if result.occurred_at - at < DAY + _SLACK]
            is_resend = isinstance(result, ResendRefused)
            neighbours = [other for other in everyone if other.story.mailbox == case.story.mailbox]
            is_crowded = len(neighbours) > attempts.MAX_LIVE_SIGN_INS
            if len(recent) <= enough and not (is_cooling if is_resend else is_crowded):
                yield f"{case.name}: throttled after {len(recent)} attempts of the mailbox"
