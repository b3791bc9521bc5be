"""The rules of a mailbox: sign-ins, attempts, tries, expiry, results.

Signals go in (``open_or_resend``, ``refuse_resend``, ``submit``), ``take_jobs`` returns
what to do outside, and the end of each job comes back (``on_code_issued`` …
``on_published``). What is in flight is not part of the state: a new run starts its jobs
again.
"""

from collections.abc import Iterator
from datetime import datetime

from schemas.limits import Clearing, LimitsQuery, LimitsReport
from schemas.mailbox import MailboxState, MailboxStatus, SignIn
from schemas.results import RejectReason
from schemas.signals import Challenge, Refusal, Submission
from workflows.rules.attempts import Obstacle, new_sign_in, obstacle_to_open, obstacle_to_resend
from workflows.rules.budgets import Budgets
from workflows.rules.jobs import IssueCode, Job, PublishResults, issue_code
from workflows.rules.mails import Mails
from workflows.rules.memory import Memory
from workflows.rules.outbox import Outbox
from workflows.rules.submissions import Submissions

MAX_CARRIED_ITEMS = 64


class Mailbox:
    """One mailbox. Equal calls on equal states give equal states."""

    def __init__(self, state: MailboxState) -> None:
        self.state = state
        self._budgets = Budgets(state)
        self._memory = Memory(state, self._budgets)
        self._outbox = Outbox(state)
        self._mails = Mails(state, self._budgets)
        self._submissions = Submissions(state, self._budgets, self._outbox)
        self._issuing: set[str] = set()

    # Signals

    def open_or_resend(self, challenge: Challenge, nonce: str, now: datetime) -> None:
        """Apply an acceptable attempt: open a sign-in, or send its code again."""
        self._catch_up(now)
        self.state.policy = challenge.policy

        if challenge.attempt == 1:
            self._open(challenge, nonce, now)
        else:
            self._resend(challenge, now)

    def refuse_resend(self, refusal: Refusal, now: datetime) -> None:
        """Publish the refusal of a later attempt, once.

        A refusal for a sign-in that has ended is ignored.
        """
        self._catch_up(now)

        sign_in = self.state.live.get(refusal.signin_id)
        if sign_in is not None and refusal.attempt not in sign_in.attempts:
            sign_in.attempts.append(refusal.attempt)
            self._outbox.resend_refused(sign_in, refusal, Obstacle(refusal.reason), now)

    def submit(self, submission: Submission, now: datetime) -> None:
        """Apply a code that a person typed.

        A submission that this account has made before changes nothing.
        """
        self._catch_up(now)

        if self._memory.is_over(submission.signin_id):
            return
        if self._memory.remember_submission(submission):
            self._submissions.add(submission, now)

    def clear_limits(self, clearing: Clearing, now: datetime) -> None:
        """Give budgets back in full.

        Tries that a live sign-in has used are not restored.
        """
        self._catch_up(now)

        if clearing.mails:
            self._budgets.clear_mails()
        if clearing.failures:
            self._budgets.clear_failures(clearing.account)

    # Jobs

    def take_jobs(
        self,
        now: datetime,
        *,
        hold_mails: bool = False,
        hold_compares: bool = False,
    ) -> list[Job]:
        """Return the jobs to start now, and count them as in flight."""
        jobs: list[Job] = []
        for sign_in in list(self.state.live.values()):
            key_id = sign_in.key_id

            if self._mails.went_stale(sign_in, now):
                self._reject(sign_in, Obstacle("stale"), now)
            elif key_id is None:
                jobs += self._issue_code(sign_in)
            else:
                jobs += [] if hold_mails else self._mails.start_due(sign_in, key_id, now)
                jobs += [] if hold_compares else self._submissions.start_compares(sign_in, key_id, now)

        return [*jobs, *self._outbox.start_publications()]

    def on_code_issued(self, signin_id: str, key_id: str) -> None:
        """Note the key that a sign-in's code is derived under."""
        self._issuing.discard(signin_id)
        if sign_in := self.state.live.get(signin_id):
            sign_in.key_id = key_id

    def on_mail_accepted(self, signin_id: str, attempt: int, at: datetime) -> None:
        """Report that the code was sent, and when."""
        self._mails.end_try(signin_id, attempt)
        if sign_in := self.state.live.get(signin_id):
            mail = self._mails.accept(sign_in, attempt)
            self._outbox.code_sent(sign_in, mail, at)

    def on_mail_failed(self, signin_id: str, attempt: int, now: datetime) -> None:
        """Try a mail again later."""
        self._mails.end_try(signin_id, attempt)
        if sign_in := self.state.live.get(signin_id):
            self._mails.retry_later(sign_in, attempt, now)

    def on_mail_refused(self, signin_id: str, attempt: int, now: datetime) -> None:
        """Fail a sign-in whose mail will never be delivered."""
        self._mails.end_try(signin_id, attempt)
        self.abandon(signin_id, now)

    def on_compared(self, signin_id: str, is_correct: bool, now: datetime) -> None:
        """Apply the verdict on a submission."""
        submission = self._submissions.finish_compare(signin_id)
        sign_in = self.state.live.get(signin_id)
        if sign_in is None:
            return

        if is_correct:
            self._budgets.clear_failures(sign_in.account)
            self._end(sign_in)
            self._outbox.succeeded(sign_in, submission, now)
            return

        self._outbox.wrong_code(sign_in, submission, now)
        if sign_in.tries >= sign_in.otp.max_attempts:
            self._end(sign_in)
            self._outbox.failed(sign_in, "too_many_attempts", now)

    def on_compare_failed(self, signin_id: str) -> None:
        """Give back the try of a submission that could not be compared."""
        self._submissions.cancel_compare(signin_id)

    def on_published(self, publication: PublishResults) -> None:
        """Drop the results that Kafka acknowledged."""
        self._outbox.acknowledge(publication)

    def abandon(self, signin_id: str, now: datetime) -> None:
        """Fail a sign-in that cannot go on."""
        if sign_in := self.state.live.get(signin_id):
            self._end(sign_in)
            self._outbox.failed(sign_in, "delivery_failed", now)

    # Time

    def tick(self, now: datetime) -> None:
        """Apply everything that is due. At its ``expires_at`` a sign-in has expired."""
        for sign_in in list(self.state.live.values()):
            if now < sign_in.expires_at:
                continue

            if sign_in.mail_accepted:
                self._end(sign_in)
                self._outbox.expired(sign_in, now)
            else:
                self.abandon(sign_in.signin_id, now)

        self._submissions.reject_overdue(now)

    def next_deadline(self, now: datetime) -> datetime | None:
        """Return when ``tick`` or ``take_jobs`` has work again if nothing else happens."""
        if not self._is_busy:
            return self._memory.needed_until()

        live = self.state.live.values()
        moments = [sign_in.expires_at for sign_in in live]
        moments += [due for sign_in in live for due in self._mails.due_times(sign_in)]
        moments += [held.until for held in self.state.waiting]
        return min((moment for moment in moments if moment > now), default=None)

    def is_done(self, now: datetime) -> bool:
        """Tell whether nothing is left to do, to publish or to remember."""
        return not self._is_busy and now >= self._memory.needed_until()

    # Questions

    @property
    def is_sending(self) -> bool:
        """Tell whether a mail is in flight."""
        return self._mails.are_in_flight

    @property
    def is_comparing(self) -> bool:
        """Tell whether a compare is in flight."""
        return self._submissions.are_in_flight

    @property
    def fits_in_new_run(self) -> bool:
        """Tell whether what a new run would be given is small enough."""
        return len(self._outbox) + len(self._submissions) <= MAX_CARRIED_ITEMS

    @property
    def has_live_sign_ins(self) -> bool:
        """Tell whether a person has a code to type, or will have one."""
        return bool(self.state.live)

    def has_taken(self, signin_id: str) -> bool:
        """Tell whether a sign-in was handed over: it is live, over or rejected."""
        return signin_id in self.state.live or self._memory.is_over(signin_id)

    def locked_until(self, now: datetime) -> datetime | None:
        """Return until when an account is locked for untrusted devices, or None."""
        return self._budgets.longest_lock(now)

    def limits(self, query: LimitsQuery) -> LimitsReport:
        """Report how much of each budget is spent."""
        live = sum(query.as_of < sign_in.expires_at for sign_in in self.state.live.values())
        budgets = self._budgets.usage(query.account, query.as_of)
        return LimitsReport(budgets=tuple(budgets), live=live)

    def status(self) -> MailboxStatus:
        """Count what is there."""
        mails, failures = self._budgets.counts()

        return MailboxStatus(
            live=len(self.state.live),
            waiting=len(self.state.waiting),
            unpublished=len(self._outbox),
            mails_last_day=mails,
            failures_last_day=failures,
        )

    # Internals

    @property
    def _is_busy(self) -> bool:
        kept = self.state.live or self.state.waiting or self.state.outbox
        return bool(kept) or self.is_sending or self.is_comparing

    def _catch_up(self, now: datetime) -> None:
        """Apply what is due, and drop what is a day old, before a signal is applied."""
        self.tick(now)
        self._budgets.drop_expired(now)
        self.state.last_event_at = now

    def _open(self, challenge: Challenge, nonce: str, now: datetime) -> None:
        if self.has_taken(challenge.signin_id):
            return

        sign_in = new_sign_in(challenge, nonce, now)
        if obstacle := obstacle_to_open(self.state, self._budgets, challenge, now):
            self._reject(sign_in, obstacle, now)
            return

        self.state.live[sign_in.signin_id] = sign_in
        self._mails.plan(sign_in, challenge, now)
        self._submissions.enqueue_held(sign_in, now)

    def _resend(self, challenge: Challenge, now: datetime) -> None:
        sign_in = self.state.live.get(challenge.signin_id)
        if sign_in is None or challenge.attempt in sign_in.attempts:
            return

        sign_in.attempts.append(challenge.attempt)
        if obstacle := obstacle_to_resend(self.state, self._budgets, sign_in, challenge, now):
            self._outbox.resend_refused(sign_in, challenge, obstacle, now)
        else:
            self._mails.plan(sign_in, challenge, now)

    def _issue_code(self, sign_in: SignIn) -> Iterator[IssueCode]:
        if sign_in.signin_id not in self._issuing:
            self._issuing.add(sign_in.signin_id)
            yield issue_code(sign_in)

    def _reject(self, sign_in: SignIn, obstacle: Obstacle[RejectReason], now: datetime) -> None:
        """Reject attempt 1. The submissions for it have no result."""
        self.state.live.pop(sign_in.signin_id, None)
        self._submissions.pop_held(sign_in.signin_id)
        self._memory.remember_rejected(sign_in.signin_id)
        self._outbox.rejected(sign_in, obstacle, now)

    def _end(self, sign_in: SignIn) -> None:
        del self.state.live[sign_in.signin_id]
        self._memory.remember_ended(sign_in.signin_id)
