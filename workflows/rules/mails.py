"""The mails of live sign-ins: planned, charged, and tried until they are accepted."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from schemas.mailbox import MailboxState, PendingMail, SignIn
from schemas.signals import Challenge
from workflows.rules.attempts import new_mail
from workflows.rules.budgets import Budgets
from workflows.rules.jobs import SendMail, send_mail

_MAX_BACKOFF_S = 30


class Mails:
    """The mails of one mailbox, kept in its state.

    Which of them are in flight is not part of the state.
    """

    def __init__(self, state: MailboxState, budgets: Budgets) -> None:
        self._state = state
        self._budgets = budgets
        self._in_flight: set[tuple[str, int]] = set()

    @property
    def are_in_flight(self) -> bool:
        """Tell whether the mail server is being asked to take a mail."""
        return bool(self._in_flight)

    def is_sending(self, signin_id: str) -> bool:
        """Tell whether a mail of one sign-in is in flight."""
        return any(in_flight == signin_id for in_flight, _ in self._in_flight)

    def plan(self, sign_in: SignIn, challenge: Challenge, now: datetime) -> None:
        """Plan an attempt's mail, and charge it once, however many tries it takes."""
        self._budgets.charge_mail(sign_in, now)
        sign_in.last_send_at = now
        sign_in.mails.append(new_mail(challenge, self._state.policy, now))

    def start_due(self, sign_in: SignIn, now: datetime) -> Iterator[SendMail]:
        """Yield a job for each mail that is due, and count it as in flight.

        The first try is due at once. Nothing is due once the sign-in has its verdict or its code
        has expired.
        """
        if sign_in.ending is not None or now >= sign_in.expires_at:
            return

        for mail in self._idle(sign_in):
            if mail.tries == 0 or mail.not_before <= now:
                self._in_flight.add((sign_in.signin_id, mail.attempt))
                yield send_mail(sign_in, mail)

    def give_up(self) -> None:
        """Count the mails in flight as tried: they may be accepted, but a new run will not hear of it."""
        for signin_id, attempt in self._in_flight:
            if sign_in := self._state.live.get(signin_id):
                mail = _mail(sign_in, attempt)
                mail.tries += 1
                mail.was_given_up = True

    def end_try(self, signin_id: str, attempt: int) -> None:
        """Count a mail as no longer in flight, however its try ended."""
        self._in_flight.discard((signin_id, attempt))

    def accept(self, sign_in: SignIn, attempt: int, at: datetime) -> None:
        """Note when the mail server accepted a mail."""
        _mail(sign_in, attempt).accepted_at = at

    def refuse(self, sign_in: SignIn, attempt: int, at: datetime) -> None:
        """Note when the mail server refused a mail for good."""
        _mail(sign_in, attempt).refused_at = at

    def retry_later(self, sign_in: SignIn, attempt: int, now: datetime) -> None:
        """Plan the next try of a mail: after 2, 4, 8, 16, then every 30 s."""
        mail = _mail(sign_in, attempt)
        mail.tries += 1
        backoff_s = min(2**mail.tries, _MAX_BACKOFF_S)
        mail.not_before = now + timedelta(seconds=backoff_s)

    def due_times(self, sign_in: SignIn) -> list[datetime]:
        """Return when the mails that are not in flight are due."""
        return [mail.not_before for mail in self._idle(sign_in)]

    def refund(self, sign_in: SignIn) -> None:
        """Take back what a sign-in was charged: none of its mails was tried."""
        self._budgets.refund_mails(sign_in)

    def went_stale(self, sign_in: SignIn, now: datetime) -> bool:
        """Tell whether a request became stale before any of its mails was tried."""
        if sign_in.sent_at is not None or len(self._idle(sign_in)) < len(sign_in.mails):
            return False

        was_tried = any(mail.tries > 0 for mail in sign_in.mails)
        return not was_tried and now > sign_in.stale_at

    def _idle(self, sign_in: SignIn) -> list[PendingMail]:
        """Return the mails that are neither in flight nor answered."""
        unanswered = (mail for mail in sign_in.mails if not (mail.accepted_at or mail.refused_at))
        return [mail for mail in unanswered if (sign_in.signin_id, mail.attempt) not in self._in_flight]


def _mail(sign_in: SignIn, attempt: int) -> PendingMail:
    return next(mail for mail in sign_in.mails if mail.attempt == attempt)
