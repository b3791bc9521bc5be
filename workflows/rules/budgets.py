"""Budgets of mails and failures: whether one more may be spent, and if not, when.

Only time and an operator give a budget back, and the right code what its own sign-in has
spent (SECURITY S4, S5, S9; NIST SP 800-63B-4, section 3.2.2).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from schemas.limits import Budget, BudgetUse
from schemas.mailbox import Ledger, Ledgers, MailboxState, SignIn, Spend
from schemas.policy import LimitPolicy

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Requester(Protocol):
    """Whose budgets are spent: a sign-in, or the request for one."""

    @property
    def account(self) -> str:
        """The account's pseudonym."""
        ...

    @property
    def network(self) -> str:
        """The client's network."""
        ...

    @property
    def trusted(self) -> bool:
        """Whether the emitter vouches for the device."""
        ...


class Budgets:
    """The budgets of one mailbox: its mails, and the failures of each account."""

    def __init__(self, state: MailboxState) -> None:
        self._state = state

    def mail_blocked_until(self, requester: Requester, now: datetime) -> datetime | None:
        """Return when the mailbox may be sent one more mail, or None for at once."""
        limits = _mail_limits(self._policy, requester.trusted)
        ledger = _ledger(self._state.sends, requester.trusted)
        return limits.blocked_until(ledger, now, requester.network)

    def locked_until(self, requester: Requester, now: datetime) -> datetime | None:
        """Return when the account may fail once more, or None if it is not locked."""
        ledgers = self._state.failures.get(requester.account)
        if ledgers is None:
            return None

        limits = _failure_limits(self._policy, requester.trusted)
        ledger = _ledger(ledgers, requester.trusted)
        return limits.blocked_until(ledger, now, requester.network)

    def longest_lock(self, now: datetime) -> datetime | None:
        """Return the end of the longest lock for untrusted devices, or None."""
        limits = _failure_limits(self._policy, trusted=False)
        locks = [limits.blocked_until(ledgers.strangers, now) for ledgers in self._state.failures.values()]
        return max((until for until in locks if until and until > now), default=None)

    def charge_mail(self, sign_in: SignIn, now: datetime) -> None:
        """Charge one mail, whether or not the mail server will take it."""
        _spend(_ledger(self._state.sends, sign_in.trusted), sign_in.network, now, sign_in.signin_id)

    def refund_mails(self, sign_in: SignIn) -> None:
        """Take a sign-in's charges back, because none of its mails was tried."""
        ledger = _ledger(self._state.sends, sign_in.trusted)
        ledger.spent = [spend for spend in ledger.spent if spend.signin_id != sign_in.signin_id]

    def charge_failure(self, sign_in: SignIn, now: datetime) -> Spend:
        """Charge a failure. The compare comes after it, and a success gives it back."""
        ledgers = self._state.failures.setdefault(sign_in.account, Ledgers())
        ledger = _ledger(ledgers, sign_in.trusted)
        ledger.in_a_row = _in_a_row(ledger, now) + 1
        return _spend(ledger, sign_in.network, now, sign_in.signin_id)

    def refund_failure(self, sign_in: SignIn, charge: Spend) -> None:
        """Take a charge back, because nothing was compared.

        An operator may have cleared it already.
        """
        ledgers = self._state.failures.get(sign_in.account, Ledgers())
        ledger = _ledger(ledgers, sign_in.trusted)

        kept = [spend for spend in ledger.spent if spend is not charge]
        ledger.in_a_row = max(0, ledger.in_a_row - len(ledger.spent) + len(kept))
        ledger.spent = kept

    def succeed(self, sign_in: SignIn) -> None:
        """Give back what a sign-in has spent, and end the count of failures in a row.

        Whoever knew the code made the mistakes before it. The account's other failures may be
        an attacker's, so they stay.
        """
        ledgers = self._state.failures.get(sign_in.account, Ledgers())

        for ledger in (ledgers.strangers, ledgers.trusted):
            ledger.spent = [spend for spend in ledger.spent if spend.signin_id != sign_in.signin_id]
            ledger.in_a_row = 0

    def clear_failures(self, account: str) -> None:
        """Forget an account's failures."""
        self._state.failures.pop(account, None)

    def clear_mails(self) -> None:
        """Forget the mails that the mailbox was sent."""
        self._state.sends = Ledgers()

    def drop_expired(self, now: datetime) -> None:
        """Drop what is a day old.

        A submission that waits for its turn is decided as of an earlier moment than now.
        """
        queue = self._state.queue
        now = queue[0].at if queue else now

        for ledgers in self._all_ledgers():
            for ledger in (ledgers.strangers, ledgers.trusted):
                ledger.in_a_row = _in_a_row(ledger, now)
                ledger.spent = _last_day(ledger, now)

        failures = self._state.failures
        kept = [account for account, ledgers in failures.items() if any(_spends(ledgers))]
        self._state.failures = {account: failures[account] for account in kept}

    def last_spent_at(self) -> datetime | None:
        """Return when something was last spent, or None if nothing is remembered."""
        spends = (spend for ledgers in self._all_ledgers() for spend in _spends(ledgers))
        return max((spend.at for spend in spends), default=None)

    def counts(self) -> tuple[int, int]:
        """Return how many mails and how many failures are remembered."""
        mails = len(list(_spends(self._state.sends)))
        failures = sum(len(list(_spends(ledgers))) for ledgers in self._state.failures.values())
        return mails, failures

    def usage(self, account: str, now: datetime) -> Iterator[BudgetUse]:
        """Yield how much is spent of the mailbox's mails and of an account's failures."""
        policy = self._policy
        mails = self._state.sends
        failures = self._state.failures.get(account, Ledgers())

        yield _usage("mails", mails.strangers, _mail_limits(policy, trusted=False), now)
        yield _usage("trusted mails", mails.trusted, _mail_limits(policy, trusted=True), now)
        yield _usage("failures", failures.strangers, _failure_limits(policy, trusted=False), now)
        yield _usage("trusted failures", failures.trusted, _failure_limits(policy, trusted=True), now)

    @property
    def _policy(self) -> LimitPolicy:
        return self._state.policy.limits

    def _all_ledgers(self) -> Iterator[Ledgers]:
        yield self._state.sends
        yield from self._state.failures.values()


@dataclass(frozen=True)
class _BudgetLimits:
    """How much of one budget may be spent. None: no such limit."""

    per_day: int
    per_hour: int | None = None
    per_day_and_network: int | None = None
    in_a_row: int | None = None

    def blocked_until(
        self,
        ledger: Ledger,
        now: datetime,
        network: str | None = None,
    ) -> datetime | None:
        """Return when one more may be spent, or None for at once.

        Without a network, the answer is that for a network that has spent nothing.
        """
        spent = ledger.spent
        if self.in_a_row is not None and _in_a_row(ledger, now) >= self.in_a_row:
            return spent[-1].at + DAY

        of_network = [spend for spend in spent if spend.network == network]
        moments = (
            _full_until(spent, HOUR, self.per_hour, now),
            _full_until(spent, DAY, self.per_day, now),
            _full_until(of_network, DAY, self.per_day_and_network, now),
        )
        return max((moment for moment in moments if moment), default=None)


def _mail_limits(policy: LimitPolicy, trusted: bool) -> _BudgetLimits:
    return _BudgetLimits(
        per_hour=policy.sends_per_hour,
        per_day=policy.sends_per_day,
        per_day_and_network=None if trusted else policy.sends_per_day // 2,
    )


def _failure_limits(policy: LimitPolicy, trusted: bool) -> _BudgetLimits:
    if trusted:
        return _BudgetLimits(per_day=policy.trusted_failures_per_day, in_a_row=policy.failures_in_a_row)

    return _BudgetLimits(
        per_hour=policy.failures_per_hour,
        per_day=policy.failures_per_day,
        per_day_and_network=policy.failures_per_day // 2,
        in_a_row=policy.failures_in_a_row,
    )


def _full_until(
    spent: list[Spend],
    span: timedelta,
    limit: int | None,
    now: datetime,
) -> datetime | None:
    """Return when fewer than ``limit`` are younger than ``span``, or None for now."""
    inside = [spend.at for spend in spent if spend.at > now - span]
    if limit is None or len(inside) < limit:
        return None
    return inside[-limit] + span


def _ledger(ledgers: Ledgers, trusted: bool) -> Ledger:
    return ledgers.trusted if trusted else ledgers.strangers


def _spend(ledger: Ledger, network: str, now: datetime, signin_id: str) -> Spend:
    spend = Spend(at=now, network=network, signin_id=signin_id)
    ledger.spent.append(spend)
    return spend


def _spends(ledgers: Ledgers) -> Iterator[Spend]:
    yield from ledgers.strangers.spent
    yield from ledgers.trusted.spent


def _in_a_row(ledger: Ledger, now: datetime) -> int:
    """Return how many failures are in a row. A day without one ends the row."""
    return ledger.in_a_row if _last_day(ledger, now) else 0


def _last_day(ledger: Ledger, now: datetime) -> list[Spend]:
    return [spend for spend in ledger.spent if spend.at > now - DAY]


def _usage(budget: Budget, ledger: Ledger, limits: _BudgetLimits, now: datetime) -> BudgetUse:
    last_day = _last_day(ledger, now)
    by_network = Counter(spend.network for spend in last_day)
    in_a_row = _in_a_row(ledger, now)
    free_at = limits.blocked_until(ledger, now)

    return BudgetUse(
        budget=budget,
        last_hour=sum(spend.at > now - HOUR for spend in last_day),
        most_per_hour=limits.per_hour,
        last_day=len(last_day),
        most_per_day=limits.per_day,
        by_one_network=max(by_network.values(), default=0),
        most_by_one_network=limits.per_day_and_network,
        in_a_row=None if limits.in_a_row is None else in_a_row,
        most_in_a_row=limits.in_a_row,
        free_at=free_at if free_at is not None and free_at > now else None,
    )
