"""When a sign-in ends, and how.

A sign-in never ends by time while a mail or a submission of it is undecided. One workflow
task delivers signals before it delivers the ends of activities, whatever came first:

    mail accepted at 299 s                         in history, published by a worker that died
      task done again at 310 s: a signal           the sign-in is 10 s too old
      the same task: the mail was accepted         too late, if it had ended

So what is undecided is decided first. For the same reason the end of a mail is published only
when all signals have been applied and no submission of its sign-in waits any more: a worker that
had not heard of the mail may have published the verdict already.
"""

from datetime import datetime

from schemas.mailbox import Ending, HeldRefusal, MailboxState, PendingMail, QueuedSubmission, SignIn
from schemas.results import Failure, RejectReason, ResendRefusal
from schemas.signals import Challenge, Refusal, Rejection
from workflows.rules.attempts import Obstacle
from workflows.rules.mails import Mails
from workflows.rules.memory import Memory
from workflows.rules.moments import moment_of_end, moment_of_verdict
from workflows.rules.outbox import Outbox
from workflows.rules.submissions import Submissions


class Endings:
    """Gives each sign-in of a mailbox its one terminal result, and the results of its mails before it."""

    def __init__(
        self,
        state: MailboxState,
        memory: Memory,
        outbox: Outbox,
        mails: Mails,
        submissions: Submissions,
    ) -> None:
        self._state = state
        self._memory = memory
        self._outbox = outbox
        self._mails = mails
        self._submissions = submissions

    def decide(self, sign_in: SignIn, queued: QueuedSubmission, *, is_correct: bool) -> None:
        """End a sign-in by a submission: the right code, or the last wrong one."""
        sign_in.ending = Ending(
            type="succeeded" if is_correct else "too_many_attempts",
            submission=queued.submission,
            at=queued.at,
        )
        self._submissions.drop_queued(sign_in.signin_id)

    def refuse_resend(
        self,
        sign_in: SignIn,
        message: Challenge | Refusal,
        obstacle: Obstacle[ResendRefusal],
        at: datetime,
    ) -> None:
        """Refuse a later attempt, once the submissions before it are decided: one of them may be right."""
        refusal = HeldRefusal(
            attempt=message.attempt,
            reason=obstacle.reason,
            free_at=obstacle.free_at,
            at=at,
            traceparent=message.traceparent,
        )
        sign_in.refusals.append(refusal)
        if not self._submissions.are_pending(sign_in.signin_id):
            self._outbox.refusals(sign_in)

    def settle(self) -> None:
        """Publish what is decided about the sign-ins: their mails, then their ends.

        A verdict waits for the sign-in's first mail if that is in flight: its ``code_sent``
        comes before.
        """
        for sign_in in list(self._state.live.values()):
            self._settle(sign_in)

    def _settle(self, sign_in: SignIn) -> None:
        if self._submissions.are_pending(sign_in.signin_id):
            return

        ending = sign_in.ending
        if ending is None:
            self._outbox.refusals(sign_in)
            self._report_mails(sign_in)
        elif sign_in.sent_at is not None or not self._mails.is_sending(sign_in.signin_id):
            self._finish(sign_in, ending)

    def end_overdue(self, now: datetime) -> None:
        """End and reject what is due. At its ``expires_at`` a sign-in has expired."""
        for sign_in in list(self._state.live.values()):
            if self._is_undecided(sign_in):
                continue

            if self._mails.went_stale(sign_in, now):
                self._mails.refund(sign_in)
                self.turn_away(sign_in, Obstacle("stale"), moment_of_end(sign_in, sign_in.stale_at))
            elif now >= sign_in.expires_at:
                self._expire(sign_in)

        self._submissions.reject_overdue(now)

    def fail(self, sign_in: SignIn | Challenge | Rejection, reason: Failure, at: datetime) -> None:
        """Fail a sign-in, whatever is undecided, or the request for one."""
        self._end(sign_in.signin_id)
        self._outbox.failed(sign_in, reason, at, is_mailing=self._mails.is_sending(sign_in.signin_id))

    def turn_away(self, sign_in: SignIn | Challenge, obstacle: Obstacle[RejectReason], at: datetime) -> None:
        """Reject attempt 1, because the mailbox does not accept it."""
        self._memory.remember_turned_away(sign_in.signin_id)
        self._reject(sign_in, obstacle, at)

    def reject(self, rejection: Rejection, at: datetime) -> None:
        """Reject attempt 1, as a signal says."""
        self._memory.remember_rejected(rejection.signin_id)
        self._reject(rejection, Obstacle(rejection.reason), at)

    def _reject(self, sign_in: SignIn | Challenge | Rejection, obstacle: Obstacle[RejectReason], at: datetime) -> None:
        """Publish a rejection. The submissions for the sign-in have no result."""
        self._state.live.pop(sign_in.signin_id, None)
        self._submissions.drop_queued(sign_in.signin_id)
        self._submissions.pop_held(sign_in.signin_id)
        self._outbox.rejected(sign_in, obstacle, at)

    def _is_undecided(self, sign_in: SignIn) -> bool:
        signin_id = sign_in.signin_id
        is_waiting = self._mails.is_sending(signin_id) or self._submissions.are_pending(signin_id)
        has_answer = any(mail.accepted_at or mail.refused_at for mail in sign_in.mails)
        return is_waiting or has_answer or bool(sign_in.refusals) or sign_in.ending is not None

    def _expire(self, sign_in: SignIn) -> None:
        if sign_in.sent_at is None:
            self.fail(sign_in, "delivery_failed", sign_in.expires_at)
            return

        self._end(sign_in.signin_id)
        self._outbox.expired(sign_in, sign_in.expires_at)

    def _report_mails(self, sign_in: SignIn) -> None:
        """Publish the mail server's answers.

        A mail that is refused for good fails the sign-in, unless another was accepted or may be.
        """
        self._report_accepted(sign_in)

        refused = {mail.attempt: mail.refused_at for mail in sign_in.mails if mail.refused_at}
        if refused and sign_in.sent_at is None and len(refused) == len(sign_in.mails):
            self.fail(sign_in, "delivery_failed", moment_of_end(sign_in, max(refused.values())))
            return

        for mail in [mail for mail in sign_in.mails if mail.attempt in refused]:
            sign_in.mails.remove(mail)
            if mail.attempt > 1:
                self._outbox.resend_refused(sign_in, mail, Obstacle("undeliverable_email"), refused[mail.attempt])

    def _report_accepted(self, sign_in: SignIn) -> None:
        for mail in list(sign_in.mails):
            if mail.accepted_at is not None:
                self._report_sent(sign_in, mail, mail.accepted_at)

    def _report_sent(self, sign_in: SignIn, mail: PendingMail, at: datetime) -> None:
        is_first = sign_in.sent_at is None
        sign_in.mails.remove(mail)
        sign_in.sent_at = moment_of_verdict(sign_in, at)
        self._outbox.code_sent(sign_in, mail, at, is_first=is_first)

    def _finish(self, sign_in: SignIn, ending: Ending) -> None:
        """Publish the verdict.

        A right code proves that a mail arrived, even if the answer of the mail server was lost.
        """
        if sign_in.sent_at is None:
            self._report_accepted(sign_in)
        if sign_in.sent_at is None and ending.type == "succeeded":
            tried = [mail for mail in sign_in.mails if mail.tries]
            self._report_sent(sign_in, [*tried, *sign_in.mails][0], ending.at)

        at = moment_of_verdict(sign_in, ending.at)
        if ending.type == "too_many_attempts":
            self.fail(sign_in, ending.type, at)
            return

        self._end(sign_in.signin_id)
        is_mailing = self._mails.is_sending(sign_in.signin_id)
        self._outbox.succeeded(sign_in, ending.submission, at, is_mailing=is_mailing)

    def _end(self, signin_id: str) -> None:
        self._state.live.pop(signin_id, None)
        self._submissions.drop_queued(signin_id)
        self._memory.remember_ended(signin_id)
