"""Mails: only those that somebody asked for, none after the end, and one code for all copies of a mail."""

from collections import defaultdict

from tests.history_check.lines import Emitted, Mail
from tests.history_check.violations import Violation, Violations


class Mailbox:
    """The mails of one account. ``codes``: those that its owner has read."""

    def __init__(self, account: str) -> None:
        self.repeats = 0
        self._name = f"account {account[:12]}"
        self._first: dict[str, Mail] = {}
        self._requests: dict[tuple[str | None, int | None], Emitted] = {}

    def receive(self, mail: Mail) -> Violations:
        """Take a mail that arrived."""
        first = self._first.setdefault(mail.message_id, mail)
        self.repeats += first is not mail

        if first.code != mail.code:
            yield Violation("mails", self._name, "two copies of a mail show different codes")

    def ask(self, request: Emitted) -> None:
        """Take a request of the log."""
        self._requests.setdefault((request.signin_id, request.attempt), request)

    def codes(self, before: float) -> set[str]:
        """Return the codes in the mails that arrived before a moment."""
        return {mail.code for mail in self._first.values() if mail.at <= before}

    def count(self, before: float) -> int:
        """Return how many different mails arrived before a moment."""
        return sum(mail.at <= before for mail in self._first.values())

    @property
    def owners(self) -> set[str | None]:
        """The sign-ins that asked for mails to this account."""
        return {signin_id for signin_id, _ in self._requests}

    def finish(self, sent: int, ended_at: float) -> Violations:
        """Compare the mails with the requests, with the number of ``signin.code_sent``, and with the last end."""
        requests = sorted(one.timestamp for one in self._requests.values() if one.is_acceptable)
        mails = sorted(mail.at for mail in self._first.values())

        if len(mails) > len(requests):
            yield Violation("mails", self._name, f"{len(mails)} mails, but {len(requests)} requests deserve one")
        elif any(mail < request for request, mail in zip(requests, mails, strict=False)):
            yield Violation("mails", self._name, "a mail arrived before it was requested")

        if len(mails) != sent:
            yield Violation("mails", self._name, f"{len(mails)} mails arrived, but signin.code_sent says {sent}")
        if mails and mails[-1] > ended_at:
            yield Violation("mails", self._name, "a mail arrived after the end")


class Mailboxes(defaultdict[str, Mailbox]):
    """The mailboxes of all accounts."""

    def __missing__(self, account: str) -> Mailbox:
        self[account] = Mailbox(account)
        return self[account]
