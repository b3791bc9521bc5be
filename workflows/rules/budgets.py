"""Budgets of mails and failures: what may be spent, and when again if not now.

Nothing here gives a budget back but time, for failures the right code, and an operator (SECURITY S4, S5, S9;
NIST SP 800-63B-4, section 3.2.2).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.limits import Budget, BudgetUse
from schemas.mailbox import Ledger, Ledgers, MailboxState, SignIn, Spend
from schemas.policy import LimitPolicy

_NO_NETWORK = ""
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class _Window:
    """At most ``most`` within ``span``, of one network if one is given."""

    span: timedelta
    most: int
    network: str | None = None

    def blocked_until(self, spent: list[Spend], now: datetime) -> datetime | None:
        """Return when one more may be spent, None for at once."""
        inside = [one.at for one in spent if one.at > now - self.span and self.network in (None, one.network)]
        return inside[-self.most] + self.span if len(inside) >= self.most else None


class Budgets:
    """The budgets of one mailbox, kept in its state: mails of the mailbox, failures of each of its accounts."""

    def __init__(self, state: MailboxState) -> None:
        self._state = state

    def mail_blocked_until(self, network: str, trusted: bool, now: datetime) -> datetime | None:
        """Return when the mailbox may be sent one more mail, None for at once."""
        limits = self._limits
        windows = [_Window(HOUR, limits.sends_per_hour), _Window(DAY, limits.sends_per_day)]
        if not trusted:
            windows.append(_Window(DAY, limits.sends_per_day // 2, network))
        return _latest(windows, _ledger(self._state.sends, trusted).spent, now)

    def charge_mail(self, network: str, trusted: bool, now: datetime) -> None:
        """Charge one mail, whether or not the mail server will take it."""
        _spend(_ledger(self._state.sends, trusted), network, now)

    def locked_until(self, account: str, network: str, trusted: bool, now: datetime) -> datetime | None:
        """Return when the account may fail once more, None if it is not locked."""
        ledgers = self._state.failures.get(account)
        if ledgers is None:
            return None
        own, limits = _ledger(ledgers, trusted), self._limits
        if own.in_a_row >= limits.failures_in_a_row and own.spent:
            return own.spent[-1].at + DAY
        return _latest(_failure_windows(limits, network, trusted), own.spent, now)

    def last_lock(self, now: datetime) -> datetime | None:
        """Return until when strangers cannot try the account that is locked longest; None if none is."""
        locks = (self.locked_until(account, _NO_NETWORK, False, now) for account in self._state.failures)
        return max((until for until in locks if until is not None and until > now), default=None)

    def charge_failure(self, sign_in: SignIn, now: datetime) -> Spend:
        """Charge a failure before the compare that may show it was none."""
        ledgers = self._state.failures.setdefault(sign_in.account, Ledgers())
        return _spend(_ledger(ledgers, sign_in.trusted), sign_in.network, now)

    def refund_failure(self, sign_in: SignIn, entry: Spend) -> None:
        """Take a charge back: nothing was compared. One that a success has wiped since is gone already."""
        own = _ledger(self._state.failures.get(sign_in.account, Ledgers()), sign_in.trusted)
        kept = [one for one in own.spent if one is not entry]
        own.in_a_row -= len(own.spent) - len(kept)
        own.spent = kept

    def wipe_failures(self, account: str) -> None:
        """Forget an account's failures: the right code was typed."""
        self._state.failures.pop(account, None)

    def wipe_mails(self) -> None:
        """Forget the mails that the mailbox was sent."""
        self._state.sends = Ledgers()

    def uses(self, account: str, now: datetime) -> Iterator[BudgetUse]:
        """Tell how much of each budget is spent: of the mailbox's mails, of one account's failures."""
        limits, failures = self._limits, self._state.failures.get(account, Ledgers())
        share, sends = limits.sends_per_day // 2, self._state.sends
        hour, day = limits.sends_per_hour, limits.sends_per_day
        free_at = self.mail_blocked_until(_NO_NETWORK, False, now)
        yield _use("mails", sends.strangers, now, hour, day, share, None, free_at)
        free_at = self.mail_blocked_until(_NO_NETWORK, True, now)
        yield _use("trusted mails", sends.trusted, now, hour, day, None, None, free_at)
        row, share = limits.failures_in_a_row, limits.failures_per_day // 2
        hour, day = limits.failures_per_hour, limits.failures_per_day
        free_at = self.locked_until(account, _NO_NETWORK, False, now)
        yield _use("failures", failures.strangers, now, hour, day, share, row, free_at)
        day, free_at = limits.trusted_failures_per_day, self.locked_until(account, _NO_NETWORK, True, now)
        yield _use("trusted failures", failures.trusted, now, None, day, None, row, free_at)

    def forget(self, now: datetime) -> None:
        """Drop what is a day old. A day without a failure also ends a row of them."""
        for ledgers in self._all():
            for own in (ledgers.strangers, ledgers.trusted):
                own.spent = [entry for entry in own.spent if entry.at > now - DAY]
                own.in_a_row = own.in_a_row if own.spent else 0
        self._state.failures = {account: own for account, own in self._state.failures.items() if any(_entries(own))}

    def last_spent_at(self) -> datetime | None:
        """Return the time of the newest entry."""
        return max((entry.at for ledgers in self._all() for entry in _entries(ledgers)), default=None)

    def counts(self) -> tuple[int, int]:
        """Return how many mails and how many failures are remembered."""
        failures = sum(len(list(_entries(own))) for own in self._state.failures.values())
        return len(list(_entries(self._state.sends))), failures

    @property
    def _limits(self) -> LimitPolicy:
        return self._state.policy.limits

    def _all(self) -> Iterator[Ledgers]:
        yield self._state.sends
        yield from self._state.failures.values()


def _failure_windows(limits: LimitPolicy, network: str, trusted: bool) -> list[_Window]:
    if trusted:
        return [_Window(DAY, limits.trusted_failures_per_day)]
    return [
        _Window(HOUR, limits.failures_per_hour),
        _Window(DAY, limits.failures_per_day),
        _Window(DAY, limits.failures_per_day // 2, network),
    ]


def _latest(windows: list[_Window], spent: list[Spend], now: datetime) -> datetime | None:
    return max((until for window in windows if (until := window.blocked_until(spent, now))), default=None)


def _ledger(ledgers: Ledgers, trusted: bool) -> Ledger:
    return ledgers.trusted if trusted else ledgers.strangers


def _spend(own: Ledger, network: str, now: datetime) -> Spend:
    entry = Spend(at=now, network=network)
    own.spent.append(entry)
    own.in_a_row += 1
    return entry


def _entries(ledgers: Ledgers) -> Iterator[Spend]:
    yield from ledgers.strangers.spent
    yield from ledgers.trusted.spent


def _use(
    budget: Budget,
    own: Ledger,
    now: datetime,
    hour: int | None,
    day: int,
    share: int | None,
    row: int | None,
    free_at: datetime | None,
) -> BudgetUse:
    inside = [one for one in own.spent if one.at > now - DAY]
    return BudgetUse(
        budget=budget,
        last_hour=sum(one.at > now - HOUR for one in inside),
        most_per_hour=hour,
        last_day=len(inside),
        most_per_day=day,
        by_one_network=max(Counter(one.network for one in inside).values(), default=0),
        most_by_one_network=share,
        in_a_row=None if row is None else own.in_a_row if inside else 0,
        most_in_a_row=row,
        free_at=free_at if free_at is not None and free_at > now else None,
    )
