"""The results of a mailbox that wait to be published: one at a time and in order for each sign-in."""

import math
from datetime import datetime
from itertools import islice
from typing import Final

from activities.addresses import masked
from schemas.mailbox import MailboxState, PendingMail, SignIn
from schemas.results import (
    CodeSent,
    Failure,
    OtpRejected,
    RejectReason,
    ResendRefusal,
    ResendRefused,
    Result,
    ResultEvent,
    SignInExpired,
    SignInFailed,
    SignInRejected,
    SignInSucceeded,
)
from schemas.signals import Challenge, Refusal, Submission
from workflows.rules.attempts import Obstacle
from workflows.rules.jobs import PublishResults

MOST_AT_ONCE: Final = 64
"""Results in one publication: with one each, a flood of requests would be a flood of activities."""

MOST_IN_FLIGHT: Final = 64
"""Publications. A server fails a workflow task that would leave more than 2,000 activities pending, again and again."""


class Outbox:
    """First in, first out for each sign-in: the next result goes out only when the one before was acknowledged."""

    def __init__(self, state: MailboxState) -> None:
        self._state = state
        self._in_flight: set[str] = set()
        self._publications = 0

    def take(self) -> list[PublishResults]:
        """Return the publications that may start, and count them as in flight."""
        idle = (events[0] for signin_id, events in self._state.outbox.items() if signin_id not in self._in_flight)
        jobs = []
        while self._publications < MOST_IN_FLIGHT and (some := tuple(islice(idle, MOST_AT_ONCE))):
            jobs.append(PublishResults(some))
            self._publications += 1
        for job in jobs:
            self._in_flight.update(job.signin_ids)
        return jobs

    def published(self, job: PublishResults) -> None:
        """Drop the results that Kafka acknowledged."""
        self._publications -= 1
        for signin_id in job.signin_ids:
            self._in_flight.discard(signin_id)
            events = self._state.outbox[signin_id]
            del events[0]
            if not events:
                del self._state.outbox[signin_id]

    def __len__(self) -> int:
        """Return how many results Kafka has not acknowledged."""
        return sum(map(len, self._state.outbox.values()))

    @property
    def is_publishing(self) -> bool:
        """Tell whether a result is in flight."""
        return bool(self._in_flight)

    def code_sent(self, sign_in: SignIn, mail: PendingMail, at: datetime) -> None:
        """Say that the mail server accepted an attempt's mail ``at`` a moment that history holds.

        So does all else that is said here: it is the same whenever it is said, and may be said by a local activity.
        """
        result = CodeSent(
            signin_id=sign_in.signin_id,
            account=sign_in.account,
            occurred_at=at,
            attempt=mail.attempt,
            expires_at=sign_in.expires_at,
            resend_after=mail.resend_after,
        )
        self._put(result, sign_in, traceparent=mail.traceparent)

    def resend_refused(
        self, sign_in: SignIn, told: Challenge | Refusal, obstacle: Obstacle[ResendRefusal], now: datetime
    ) -> None:
        """Say that a later attempt was not acceptable."""
        result = ResendRefused(
            signin_id=sign_in.signin_id,
            account=sign_in.account,
            occurred_at=now,
            attempt=told.attempt,
            reason=obstacle.reason,
            retry_after_s=_seconds(obstacle.free_at, now),
        )
        self._put(result, sign_in, traceparent=told.traceparent)

    def wrong_code(self, sign_in: SignIn, submission: Submission, now: datetime) -> None:
        """Say that a submission was compared and wrong."""
        result = OtpRejected(
            signin_id=sign_in.signin_id,
            account=sign_in.account,
            occurred_at=now,
            submission_id=submission.submission_id,
            reason="wrong_code",
            attempts_left=sign_in.otp.max_attempts - sign_in.tries,
        )
        self._put(result, sign_in, submission)

    def locked(self, sign_in: SignIn, submission: Submission, until: datetime, now: datetime) -> None:
        """Say that a submission was not compared: the account is locked."""
        result = OtpRejected(
            signin_id=sign_in.signin_id,
            account=sign_in.account,
            occurred_at=now,
            submission_id=submission.submission_id,
            reason="locked",
            attempts_left=sign_in.otp.max_attempts - sign_in.tries,
            retry_after_s=_seconds(until, now),
        )
        self._put(result, sign_in, submission)

    def unknown_signin(self, submission: Submission, now: datetime) -> None:
        """Say that a submission's sign-in is not known for its account."""
        result = OtpRejected(
            signin_id=submission.signin_id,
            account=submission.account,
            occurred_at=now,
            submission_id=submission.submission_id,
            reason="unknown_signin",
        )
        self._put(result, None, submission, submission.traceparent)

    def succeeded(self, sign_in: SignIn, submission: Submission, now: datetime) -> None:
        """Say that the right code came in time."""
        result = SignInSucceeded(
            signin_id=sign_in.signin_id,
            account=sign_in.account,
            occurred_at=now,
            submission_id=submission.submission_id,
        )
        self._put(result, sign_in, submission)

    def failed(self, sign_in: SignIn, reason: Failure, now: datetime) -> None:
        """Say that a sign-in failed."""
        result = SignInFailed(signin_id=sign_in.signin_id, account=sign_in.account, occurred_at=now, reason=reason)
        self._put(result, sign_in)

    def expired(self, sign_in: SignIn, now: datetime) -> None:
        """Say that no right code came in time."""
        result = SignInExpired(signin_id=sign_in.signin_id, account=sign_in.account, occurred_at=now)
        self._put(result, sign_in)

    def rejected(self, sign_in: SignIn, obstacle: Obstacle[RejectReason], now: datetime) -> None:
        """Say that attempt 1 was not acceptable."""
        result = SignInRejected(
            signin_id=sign_in.signin_id,
            account=sign_in.account,
            occurred_at=now,
            reason=obstacle.reason,
            retry_after_s=_seconds(obstacle.free_at, now),
        )
        self._put(result, sign_in)

    def _put(
        self,
        result: Result,
        sign_in: SignIn | None,
        submission: Submission | None = None,
        traceparent: str | None = None,
    ) -> None:
        """Keep a result. It belongs to the trace of the attempt that it answers, else to that of its sign-in."""
        event = ResultEvent(
            result=result,
            traceparent=traceparent or (None if sign_in is None else sign_in.traceparent),
            submitted_at=None if submission is None else submission.submitted_at,
            masked=None if sign_in is None else masked(sign_in.email),
        )
        self._state.outbox.setdefault(result.signin_id, []).append(event)


def _seconds(free_at: datetime | None, now: datetime) -> int | None:
    """Return whole seconds, at least 1."""
    return None if free_at is None else max(1, math.ceil((free_at - now).total_seconds()))
