"""The rules of a mailbox: sign-ins, attempts, tries, expiry, results.

Signals go in (``open_or_resend``, ``refuse_resend``, ``reject``, ``submit``), ``take_jobs`` returns
what to do outside, and the end of each job comes back (``on_mail_accepted`` …
``on_published``). What is in flight is not part of the state: a new run starts its jobs
again.

A decision is a function of what history held before its workflow task began, so a task that is
done again decides the same (docs/adr/0027). The time of the task decides only what is due.
"""

from datetime import datetime

from schemas.limits import Clearing, LimitsQuery, LimitsReport
from schemas.mailbox import MailboxState, MailboxStatus
from schemas.policy import Policy
from schemas.signals import Challenge, Refusal, Rejection, Submission
from workflows.rules.attempts import Obstacle, new_sign_in, obstacle_to_open, obstacle_to_resend, sign_in_to_resend
from workflows.rules.budgets import Budgets
from workflows.rules.endings import Endings
from workflows.rules.jobs import Job, PublishResults
from workflows.rules.mails import Mails
from workflows.rules.memory import Memory
from workflows.rules.moments import moment_of_signal, moment_of_verdict
from workflows.rules.outbox import Outbox
from workflows.rules.pace import Pace
from workflows.rules.status import status_of
from workflows.rules.submissions import Submissions


class Mailbox:
    """One mailbox. Equal calls on equal states give equal states."""

    def __init__(self, state: MailboxState, pace: Pace | None = None) -> None:
        self.state = state
        self._budgets = Budgets(state)
        self._memory = Memory(state, self._budgets)
        self._outbox = Outbox(state, pace or Pace())
        self._mails = Mails(state, self._budgets)
        self._submissions = Submissions(state, self._budgets, self._outbox)
        self._endings = Endings(state, self._memory, self._outbox, self._mails, self._submissions)

    # Signals

    def open_or_resend(self, challenge: Challenge, nonce: str, now: datetime) -> None:
        """Apply an acceptable attempt: open a sign-in, or send its code again."""
        at = self._catch_up(challenge.decided_at, now)
        self._take_policy(challenge.policy)

        if challenge.attempt == 1:
            self._open(challenge, nonce, at)
        else:
            self._resend(challenge, at)

    def refuse_resend(self, refusal: Refusal, now: datetime) -> None:
        """Publish the refusal of a later attempt, once.

        A refusal for a sign-in that has ended is ignored.
        """
        at = self._catch_up(refusal.decided_at, now)

        if sign_in := sign_in_to_resend(self.state, refusal, at):
            sign_in.attempts.append(refusal.attempt)
            self._endings.refuse_resend(sign_in, refusal, Obstacle(refusal.reason), at)

    def reject(self, rejection: Rejection, now: datetime) -> None:
        """Reject attempt 1 of a sign-in, unless the mailbox knows it: then it was handed over before."""
        at = self._catch_up(rejection.decided_at, now)
        if not self._memory.knows(rejection.signin_id):
            self._endings.reject(rejection, at)

    def submit(self, submission: Submission, now: datetime) -> None:
        """Apply a code that a person typed.

        It is in time if it was read before the code expires. A submission that this account has
        made before changes nothing.
        """
        at = self._catch_up(submission.read_at, now)

        is_over = self._memory.is_over(submission.signin_id)
        if not is_over and self._memory.remember_submission(submission):
            self._submissions.add(submission, at)

    def clear_limits(self, clearing: Clearing) -> None:
        """Give budgets back in full.

        Tries that a live sign-in has used are not restored.
        """
        if clearing.mails:
            self._budgets.clear_mails()
        if clearing.failures:
            self._budgets.clear_failures(clearing.account)

    # Jobs

    def take_jobs(
        self,
        now: datetime,
        *,
        are_signals_unread: bool = False,
        hold_mails: bool = False,
        hold_compares: bool = False,
    ) -> list[Job]:
        """Return the jobs to start now, and count them as in flight.

        First apply what is due, unless signals are unread: they may be of an earlier moment. What
        is held are strangers' mails. Those to trusted devices go before them.
        """
        jobs: list[Job] = [] if hold_compares else [*self._submissions.start_compares()]
        if not are_signals_unread:
            self.tick(now)

        for sign_in in list(self.state.live.values()):
            if (sign_in.trusted or not hold_mails) and not self._submissions.are_pending(sign_in.signin_id):
                jobs += self._mails.start_due(sign_in, now)

        return [*jobs, *self._outbox.start_publications(now)]

    def on_mail_accepted(self, signin_id: str, attempt: int, at: datetime) -> None:
        """Note when the mail server accepted a mail."""
        self._mails.end_try(signin_id, attempt)
        if sign_in := self.state.live.get(signin_id):
            self._mails.accept(sign_in, attempt, at)

    def on_mail_failed(self, signin_id: str, attempt: int, now: datetime) -> None:
        """Try a mail again later."""
        self._mails.end_try(signin_id, attempt)
        if sign_in := self.state.live.get(signin_id):
            self._mails.retry_later(sign_in, attempt, now)

    def on_mail_refused(self, signin_id: str, attempt: int, at: datetime) -> None:
        """Note when the mail server refused a mail for good."""
        self._mails.end_try(signin_id, attempt)
        if sign_in := self.state.live.get(signin_id):
            self._mails.refuse(sign_in, attempt, at)

    def on_compared(self, signin_id: str, is_correct: bool) -> None:
        """Apply the verdict on a submission, as of the moment it was read."""
        queued = self._submissions.finish_compare(signin_id)
        sign_in = self.state.live.get(signin_id)
        if sign_in is None:
            return

        if is_correct:
            self._budgets.succeed(sign_in)
        else:
            sign_in.judged_at = moment_of_verdict(sign_in, queued.at)
            self._outbox.wrong_code(sign_in, queued.submission, sign_in.judged_at)

        if is_correct or sign_in.tries >= sign_in.otp.max_attempts:
            self._endings.decide(sign_in, queued, is_correct=is_correct)

    def on_compare_failed(self, signin_id: str) -> None:
        """Give back the try of a submission that could not be compared."""
        self._submissions.cancel_compare(signin_id)

    def on_published(self, publication: PublishResults) -> None:
        """Drop the results that Kafka acknowledged."""
        self._outbox.acknowledge(publication)

    def abandon(self, signin_id: str, at: datetime) -> None:
        """Fail a sign-in that cannot go on."""
        if sign_in := self.state.live.get(signin_id):
            self._endings.fail(sign_in, "delivery_failed", at)

    def abandon_request(self, message: Challenge | Rejection, at: datetime) -> None:
        """Fail the sign-in of a first attempt that could not be applied."""
        if message.attempt > 1 or self._memory.knows(message.signin_id):
            self.abandon(message.signin_id, at)
        else:
            self._endings.fail(message, "delivery_failed", at)

    # Time

    def tick(self, now: datetime) -> None:
        """Apply everything that is decided or due. All signals that history holds have been applied."""
        self._endings.settle()
        self._endings.end_overdue(now)
        self._memory.prolong_if_late(now)

    def next_deadline(self, now: datetime) -> datetime | None:
        """Return when ``tick`` or ``take_jobs`` has work again if nothing else happens."""
        live = self.state.live.values()
        moments = [self.needed_until]
        moments += [sign_in.expires_at for sign_in in live]
        moments += [due for sign_in in live for due in self._mails.due_times(sign_in)]
        moments += [held.until for held in self.state.waiting]
        moments += filter(None, [self._outbox.next_start()])
        return min((moment for moment in moments if moment > now), default=None)

    def is_done(self, now: datetime) -> bool:
        """Tell whether nothing is left to do, to publish or to remember."""
        return self.is_at_rest and now >= self.needed_until

    # A new run

    def take_overflow(self, now: datetime) -> MailboxState | None:
        """Remove results that are too many for a new run, or return None.

        What is returned is a mailbox that only publishes them.
        """
        results = self._outbox.take_overflow()
        long_ago = now - self._memory.max_duplicate_age
        overflow = MailboxState(policy=self.state.policy, outbox=results, last_event_at=long_ago)
        return overflow if results else None

    def give_up_jobs(self) -> None:
        """Give up what is in flight: the next run starts it again."""
        self._submissions.take_back_compares()
        self._mails.give_up()

    # Questions

    @property
    def needed_until(self) -> datetime:
        """Until when there is something to remember."""
        return self._memory.needed_until()

    @property
    def is_sending(self) -> bool:
        """Tell whether a mail is in flight."""
        return self._mails.are_in_flight

    @property
    def is_comparing(self) -> bool:
        """Tell whether a compare is in flight."""
        return self._submissions.are_in_flight

    @property
    def is_at_rest(self) -> bool:
        """Tell whether there is nothing to do, and nobody waits for anything."""
        kept = self.state.live or self.state.waiting or self.state.outbox
        return not kept and not self.is_sending and not self.is_comparing

    @property
    def has_live_sign_ins(self) -> bool:
        """Tell whether a person has a code to type, or will have one."""
        return bool(self.state.live)

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
        return status_of(self.state, self._budgets)

    # Internals

    def _catch_up(self, stamp: datetime, now: datetime) -> datetime:
        """Return the moment of a signal, after applying what was due and dropping what was a day old."""
        at = self.state.last_event_at = moment_of_signal(self.state, stamp, now)
        self.state.remembers_from = now
        self.state.was_prolonged = False
        self._endings.end_overdue(at)
        self._budgets.drop_expired(at)
        return at

    def _take_policy(self, policy: Policy) -> None:
        """Go by an attempt's policy from now on.

        A submission before it is not judged by it: a worker that had not heard of the attempt may
        have published the verdict. While one is undecided, the policy comes with a later attempt.
        """
        if not self.state.queue and not self.is_comparing:
            self.state.policy = policy

    def _open(self, challenge: Challenge, nonce: str, at: datetime) -> None:
        if self._memory.knows(challenge.signin_id):
            return

        if obstacle := obstacle_to_open(self.state, self._budgets, challenge, at):
            self._endings.turn_away(challenge, obstacle, at)
            return
        if challenge.key_id is None:
            self._endings.fail(challenge, "delivery_failed", at)
            return

        sign_in = new_sign_in(challenge, nonce, challenge.key_id, at)
        self.state.live[sign_in.signin_id] = sign_in
        self._mails.plan(sign_in, challenge, at)
        self._submissions.enqueue_held(sign_in, at)

    def _resend(self, challenge: Challenge, at: datetime) -> None:
        sign_in = sign_in_to_resend(self.state, challenge, at)
        if sign_in is None:
            return

        sign_in.attempts.append(challenge.attempt)
        if obstacle := obstacle_to_resend(self.state, self._budgets, sign_in, challenge, at):
            self._endings.refuse_resend(sign_in, challenge, obstacle, at)
        else:
            self._mails.plan(sign_in, challenge, at)
