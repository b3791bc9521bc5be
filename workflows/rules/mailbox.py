"""The rules of a mailbox: sign-ins, attempts, tries, expiry, results. Knows no Temporal; time is handed in.

Signals go in (``open_or_resend``, ``refuse``, ``submit``), ``take_jobs`` says what is to be done outside, and the end
of each job comes back in (``code_issued`` … ``published``). What is in flight is no part of the state: a new run starts
its jobs anew.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from schemas.limits import Clearing, LimitsQuery, LimitsReport
from schemas.mailbox import MailboxState, MailboxStatus, PendingMail, SignIn
from schemas.results import RejectReason
from schemas.signals import Challenge, Refusal, Submission
from workflows.rules.attempts import (
    Obstacle,
    is_stale,
    obstacle_to_open,
    obstacle_to_resend,
    opened,
    planned_mail,
)
from workflows.rules.budgets import Budgets
from workflows.rules.jobs import IssueCode, Job, PublishResults, SendMail, issue_code, send_mail
from workflows.rules.memory import Memory
from workflows.rules.outbox import Outbox
from workflows.rules.submissions import Submissions

MOST_CARRIED = 64
_LONGEST_BACKOFF_S = 30


class Mailbox:
    """One mailbox. Equal calls on equal states give equal states."""

    def __init__(self, state: MailboxState) -> None:
        self.state = state
        self.outbox = Outbox(state)
        self._budgets = Budgets(state)
        self._memory = Memory(state)
        self._submissions = Submissions(state, self._budgets, self.outbox)
        self._issuing: set[str] = set()
        self._mailing: set[tuple[str, int]] = set()

    # Signals

    def open_or_resend(self, challenge: Challenge, nonce: str, now: datetime) -> None:
        """Take an acceptable attempt: the first opens a sign-in, another has its code sent again."""
        self._enter(now)
        self.state.policy = challenge.policy
        if challenge.attempt == 1:
            self._open(challenge, nonce, now)
        else:
            self._resend(challenge, now)

    def refuse(self, refusal: Refusal, now: datetime) -> None:
        """Take word of an attempt that was not acceptable. Of a sign-in that is over there is nothing to say."""
        self._enter(now)
        sign_in = self.state.live.get(refusal.signin_id)
        if sign_in is not None and refusal.attempt not in sign_in.attempts:
            sign_in.attempts.append(refusal.attempt)
            self.outbox.resend_refused(sign_in, refusal, Obstacle(refusal.reason), now)

    def submit(self, submission: Submission, now: datetime) -> None:
        """Take a code that a person typed. A submission that this account has made before changes nothing."""
        self._enter(now)
        if not self._memory.is_over(submission.signin_id) and self._memory.is_new(submission):
            self._submissions.take(submission, now)

    # The ends of jobs

    def code_issued(self, signin_id: str, key_id: str) -> None:
        """Note the key that a sign-in's code is derived under."""
        self._issuing.discard(signin_id)
        if sign_in := self.state.live.get(signin_id):
            sign_in.key_id = key_id

    def mail_accepted(self, signin_id: str, attempt: int, at: datetime) -> None:
        """Say that the code was sent, and when."""
        self._mailing.discard((signin_id, attempt))
        if sign_in := self.state.live.get(signin_id):
            mail = next(mail for mail in sign_in.mails if mail.attempt == attempt)
            sign_in.mails.remove(mail)
            sign_in.mail_accepted = True
            self.outbox.code_sent(sign_in, mail, at)

    def mail_failed(self, signin_id: str, attempt: int, now: datetime) -> None:
        """Plan the next try of a mail: after 2, 4, 8, 16, then every 30 s."""
        self._mailing.discard((signin_id, attempt))
        for mail in self._mails_of(signin_id):
            if mail.attempt == attempt:
                mail.tries += 1
                mail.not_before = now + timedelta(seconds=min(2**mail.tries, _LONGEST_BACKOFF_S))

    def mail_refused(self, signin_id: str, attempt: int, now: datetime) -> None:
        """End a sign-in whose mail will never be delivered."""
        self._mailing.discard((signin_id, attempt))
        self.abandon(signin_id, now)

    def compared(self, signin_id: str, correct: bool, now: datetime) -> None:
        """Take the verdict on the submission whose try was charged."""
        submission = self._submissions.compared(signin_id)
        sign_in = self.state.live.get(signin_id)
        if sign_in is None:
            return
        if correct:
            self._budgets.wipe_failures(sign_in.account)
            self._end(sign_in)
            self.outbox.succeeded(sign_in, submission, now)
            return
        self.outbox.wrong_code(sign_in, submission, now)
        if sign_in.tries >= sign_in.otp.max_attempts:
            self._end(sign_in)
            self.outbox.failed(sign_in, "too_many_attempts", now)

    def not_compared(self, signin_id: str) -> None:
        """Give the try of a submission back that could not be compared."""
        self._submissions.not_compared(signin_id)

    def published(self, job: PublishResults) -> None:
        """Drop the results that Kafka acknowledged."""
        self.outbox.published(job)

    def abandon(self, signin_id: str, now: datetime) -> None:
        """Fail a sign-in that can't go on."""
        if sign_in := self.state.live.get(signin_id):
            self._end(sign_in)
            self.outbox.failed(sign_in, "delivery_failed", now)

    # Time

    def tick(self, now: datetime) -> None:
        """Let everything happen that is due: at its ``expires_at`` a sign-in has expired."""
        for sign_in in list(self.state.live.values()):
            if now >= sign_in.expires_at and sign_in.mail_accepted:
                self._end(sign_in)
                self.outbox.expired(sign_in, now)
            elif now >= sign_in.expires_at:
                self.abandon(sign_in.signin_id, now)
        self._submissions.tick(now)

    def next_deadline(self, now: datetime) -> datetime | None:
        """Return when, after ``now``, ``tick`` or ``take_jobs`` is wanted again, should nothing else happen before."""
        if not self.is_busy:
            return self._forgotten_at()
        moments = [sign_in.expires_at for sign_in in self.state.live.values()]
        moments += [mail.not_before for sign_in in self.state.live.values() for mail in self._idle_mails(sign_in)]
        moments += [one.until for one in self.state.waiting]
        return min((moment for moment in moments if moment > now), default=None)

    @property
    def is_busy(self) -> bool:
        """Tell whether something is live, waits, is unpublished or in flight."""
        return bool(self.state.live or self.state.waiting or self.state.outbox or self.is_sending or self.is_comparing)

    def is_done(self, now: datetime) -> bool:
        """Tell whether nothing is left to do, to say or to remember."""
        return not self.is_busy and now >= self._forgotten_at()

    # Jobs

    def take_jobs(self, now: datetime, *, hold_mails: bool = False, hold_compares: bool = False) -> list[Job]:
        """Return what is to be started now, and count it as in flight."""
        jobs: list[Job] = []
        for sign_in in list(self.state.live.values()):
            if self._comes_too_late(sign_in, now):
                self._turn_away(sign_in, Obstacle("stale"), now)
            elif sign_in.key_id is None:
                jobs += self._issue(sign_in)
            else:
                jobs += [] if hold_mails else self._send(sign_in, sign_in.key_id, now)
                jobs += [] if hold_compares else self._submissions.compares(sign_in, sign_in.key_id, now)
        return jobs + [*self.outbox.take()]

    @property
    def is_sending(self) -> bool:
        """Tell whether a mail is in flight."""
        return bool(self._mailing)

    @property
    def is_comparing(self) -> bool:
        """Tell whether a compare is in flight."""
        return self._submissions.is_comparing

    @property
    def is_small(self) -> bool:
        """Tell whether what would be carried into a new run is small enough."""
        return len(self.outbox) + len(self._submissions) <= MOST_CARRIED

    def has_taken(self, signin_id: str) -> bool:
        """Tell whether a sign-in was handed over: it is live, over, or was turned away here."""
        return signin_id in self.state.live or self._memory.is_over(signin_id)

    @property
    def is_waited_at(self) -> bool:
        """Tell whether a person has, or will have, a code to type."""
        return bool(self.state.live)

    def locked_until(self, now: datetime) -> datetime | None:
        """Return until when some account is locked for strangers; None if none is."""
        return self._budgets.last_lock(now)

    def limits(self, query: LimitsQuery) -> LimitsReport:
        """Tell how much of each budget is spent."""
        live = sum(query.as_of < sign_in.expires_at for sign_in in self.state.live.values())
        return LimitsReport(budgets=tuple(self._budgets.uses(query.account, query.as_of)), live=live)

    def clear(self, clearing: Clearing, now: datetime) -> None:
        """Give budgets back, in full. What a live sign-in has left of its own tries stays as it is."""
        self._enter(now)
        if clearing.mails:
            self._budgets.wipe_mails()
        if clearing.failures:
            self._budgets.wipe_failures(clearing.account)

    def status(self) -> MailboxStatus:
        """Count what is there."""
        mails, failures = self._budgets.counts()
        return MailboxStatus(
            live=len(self.state.live),
            waiting=len(self.state.waiting),
            unpublished=len(self.outbox),
            mails_last_day=mails,
            failures_last_day=failures,
        )

    # Inside

    def _enter(self, now: datetime) -> None:
        """Before a signal is looked at, what is due by now has happened and what is a day old is forgotten."""
        self.tick(now)
        self._budgets.forget(now)
        self.state.last_event_at = now

    def _open(self, challenge: Challenge, nonce: str, now: datetime) -> None:
        if self.has_taken(challenge.signin_id):
            return
        sign_in = opened(challenge, nonce, now)
        if obstacle := obstacle_to_open(self.state, self._budgets, challenge, now):
            self._turn_away(sign_in, obstacle, now)
            return
        self.state.live[sign_in.signin_id] = sign_in
        self._plan_mail(sign_in, challenge, now)
        self._submissions.opened(sign_in, now)

    def _resend(self, challenge: Challenge, now: datetime) -> None:
        sign_in = self.state.live.get(challenge.signin_id)
        if sign_in is None or challenge.attempt in sign_in.attempts:
            return
        sign_in.attempts.append(challenge.attempt)
        if obstacle := obstacle_to_resend(self.state, self._budgets, sign_in, challenge, now):
            self.outbox.resend_refused(sign_in, challenge, obstacle, now)
        else:
            self._plan_mail(sign_in, challenge, now)

    def _plan_mail(self, sign_in: SignIn, challenge: Challenge, now: datetime) -> None:
        """Charge a mail, once however often the mail server has to be asked, and plan it."""
        self._budgets.charge_mail(sign_in.network, sign_in.trusted, now)
        sign_in.last_send_at = now
        sign_in.mails.append(planned_mail(challenge, self.state.policy, now))

    def _comes_too_late(self, sign_in: SignIn, now: datetime) -> bool:
        """Tell whether a request went stale before its first mail was tried."""
        if sign_in.mail_accepted or len(self._idle_mails(sign_in)) < len(sign_in.mails):
            return False
        return all(mail.tries == 0 for mail in sign_in.mails) and is_stale(sign_in.born_at, self.state.policy, now)

    def _turn_away(self, sign_in: SignIn, obstacle: Obstacle[RejectReason], now: datetime) -> None:
        """Reject attempt 1. What was submitted for it has no result."""
        self.state.live.pop(sign_in.signin_id, None)
        self._submissions.release(sign_in.signin_id)
        self._memory.turned_away(sign_in.signin_id)
        self.outbox.rejected(sign_in, obstacle, now)

    def _end(self, sign_in: SignIn) -> None:
        del self.state.live[sign_in.signin_id]
        self._memory.finished(sign_in.signin_id)

    def _issue(self, sign_in: SignIn) -> Iterator[IssueCode]:
        if sign_in.signin_id not in self._issuing:
            self._issuing.add(sign_in.signin_id)
            yield issue_code(sign_in)

    def _send(self, sign_in: SignIn, key_id: str, now: datetime) -> Iterator[SendMail]:
        for mail in self._idle_mails(sign_in):
            if mail.not_before <= now:
                self._mailing.add((sign_in.signin_id, mail.attempt))
                yield send_mail(sign_in, key_id, mail)

    def _idle_mails(self, sign_in: SignIn) -> list[PendingMail]:
        return [mail for mail in sign_in.mails if (sign_in.signin_id, mail.attempt) not in self._mailing]

    def _mails_of(self, signin_id: str) -> list[PendingMail]:
        sign_in = self.state.live.get(signin_id)
        return [] if sign_in is None else sign_in.mails

    def _forgotten_at(self) -> datetime:
        """Return when neither budgets nor duplicates can reach back to what is remembered here."""
        times, otp = self.state.policy.times, self.state.policy.otp
        duplicates_end = self.state.last_event_at + timedelta(seconds=times.max_event_age_s + otp.lifetime_s)
        spent_at = self._budgets.last_spent_at()
        return duplicates_end if spent_at is None else max(duplicates_end, spent_at + timedelta(seconds=times.linger_s))
