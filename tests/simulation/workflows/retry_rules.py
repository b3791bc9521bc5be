"""Whether ``retry_after_s`` is honest: what refuses somebody ends by the clock, and no later (SECURITY S5)."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from schemas.policy import Policy
from schemas.results import ResendRefused, SignInRejected
from tests.simulation.workflows.budget_rules import DAY, Charge, Window, compares, failure_windows, mail_windows
from tests.simulation.workflows.cases import Case
from workflows.rules import attempts

_SLACK: Final = timedelta(seconds=3)


def judge_retries(cases: Sequence[Case], policy: Policy) -> Iterator[str]:
    """Yield refusals that name a time at which nothing refuses any more."""
    for case in cases:
        for one in case.results:
            result = one.result
            reason, after_s = getattr(result, "reason", None), getattr(result, "retry_after_s", None)
            if after_s is None:
                if reason in ("locked", "throttled"):
                    yield f"{case.name}: {reason}, and nobody is told until when"
                continue

            until = _locked_until if reason == "locked" else _throttled_until
            latest = until(case, cases, result.occurred_at, policy)
            if result.occurred_at + timedelta(seconds=after_s) > latest + _SLACK:
                yield f"{case.name}: {reason} for {after_s} s, though nothing refuses it after {latest}"


def _locked_until(case: Case, cases: Sequence[Case], at: datetime, policy: Policy) -> datetime:
    own = [other for other in _alike(case, cases) if other.story.account == case.story.account]
    spent = sorted(charge for other in own for charge in compares(other) if charge.at <= at)
    in_a_row = policy.limits.failures_in_a_row
    rows = [spent[-1].at + DAY] if len(spent) >= in_a_row else []
    windows = failure_windows(policy, is_trusted=case.story.is_trusted)
    return max([at, *rows, *_full_until(spent, windows, case.story.network)])


def _throttled_until(case: Case, cases: Sequence[Case], at: datetime, policy: Policy) -> datetime:
    mailbox = [other for other in cases if other.story.mailbox == case.story.mailbox]
    spent = sorted(charge for other in _alike(case, mailbox) for charge in _accepted(other) if charge.at <= at)
    cooled_at = at + timedelta(seconds=policy.limits.send_cooldown_s)
    crowded_until = at + timedelta(seconds=policy.otp.lifetime_s) if len(mailbox) > attempts.MAX_LIVE_SIGN_INS else at
    windows = mail_windows(policy, is_trusted=case.story.is_trusted)
    return max(cooled_at, crowded_until, *_full_until(spent, windows, case.story.network))


def _alike(case: Case, cases: Sequence[Case]) -> list[Case]:
    """Return the sign-ins that share a budget, if account or mailbox are the same."""
    return [other for other in cases if other.story.is_trusted is case.story.is_trusted]


def _accepted(case: Case) -> Iterator[Charge]:
    """Yield the attempts of a sign-in that were not refused. One that became stale later had been charged first."""
    results = [one.result for one in case.results]
    if any(isinstance(result, SignInRejected) and result.reason != "stale" for result in results):
        return

    refusals = [result for result in results if isinstance(result, ResendRefused)]
    refused = {result.attempt for result in refusals if result.reason != "undeliverable_email"}
    for attempt, signal in case.attempts.items():
        if attempt not in refused:
            yield Charge(signal.moment, signal.moment, case.story.network, f"attempt {attempt}")


def _full_until(spent: Sequence[Charge], windows: Sequence[Window], network: str) -> Iterator[datetime]:
    """Yield when each window that may be full has room again."""
    for window in windows:
        own = [charge.at for charge in spent if not window.is_by_network or charge.network == network]
        if len(own) >= window.limit:
            yield own[-window.limit] + window.span
