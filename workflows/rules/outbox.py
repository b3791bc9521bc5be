"""The results that Kafka has not acknowledged, published in order for each sign-in."""

import math
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Final, TypedDict

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

MAX_RESULTS_PER_PUBLICATION: Final = 64
"""With one result each, a flood of requests would be a flood of activities."""

MAX_PUBLICATIONS_IN_FLIGHT: Final = 64
"""A server has room for 2,000 pending activities per workflow. A task that would exceed this
fails, at every retry.
"""


class Outbox:
    """A first-in, first-out queue of results for each sign-in.

    A result goes out only when the one before it was acknowledged.
    """

    def __init__(self, state: MailboxState) -> None:
        self._state = state
        self._in_flight: set[str] = set()
        self._publications = 0

    def __len__(self) -> int:
        """Return how many results Kafka has not acknowledged."""
        return sum(map(len, self._state.outbox.values()))

    def start_publications(self) -> list[PublishResults]:
        """Return the publications that may start now, and count them as in flight."""
        free = MAX_PUBLICATIONS_IN_FLIGHT - self._publications
        publications = [PublishResults(batch) for batch in islice(self._batches(), free)]

        self._publications += len(publications)
        for publication in publications:
            self._in_flight.update(publication.signin_ids)
        return publications

    def acknowledge(self, publication: PublishResults) -> None:
        """Drop the results that Kafka acknowledged."""
        self._publications -= 1

        for signin_id in publication.signin_ids:
            self._in_flight.discard(signin_id)
            events = self._state.outbox[signin_id]
            del events[0]
            if not events:
                del self._state.outbox[signin_id]

    def code_sent(self, sign_in: SignIn, mail: PendingMail, at: datetime) -> None:
        """Add that the mail server accepted an attempt's mail.

        History holds the moment ``at`` and everything else in this result. So it is the
        same whenever it is made, and a local activity may publish it.
        """
        result = CodeSent(
            **_about(sign_in, at),
            attempt=mail.attempt,
            expires_at=sign_in.expires_at,
            resend_after=mail.resend_after,
        )
        self._add(result, sign_in, traceparent=mail.traceparent)

    def resend_refused(
        self,
        sign_in: SignIn,
        attempt: Challenge | Refusal | PendingMail,
        obstacle: Obstacle[ResendRefusal],
        now: datetime,
    ) -> None:
        """Add that a later attempt was not acceptable."""
        result = ResendRefused(
            **_about(sign_in, now),
            attempt=attempt.attempt,
            reason=obstacle.reason,
            retry_after_s=_seconds_until(obstacle.free_at, now),
        )
        self._add(result, sign_in, traceparent=attempt.traceparent)

    def wrong_code(self, sign_in: SignIn, submission: Submission, now: datetime) -> None:
        """Add that a submission was compared and is wrong."""
        result = OtpRejected(
            **_about(sign_in, now),
            submission_id=submission.submission_id,
            reason="wrong_code",
            attempts_left=_attempts_left(sign_in),
        )
        self._add(result, sign_in, submission)

    def locked(self, sign_in: SignIn, submission: Submission, until: datetime, now: datetime) -> None:
        """Add that a submission was not compared, because the account is locked."""
        result = OtpRejected(
            **_about(sign_in, now),
            submission_id=submission.submission_id,
            reason="locked",
            attempts_left=_attempts_left(sign_in),
            retry_after_s=_seconds_until(until, now),
        )
        self._add(result, sign_in, submission)

    def unknown_signin(self, submission: Submission, now: datetime) -> None:
        """Add that a submission's account has no such sign-in."""
        result = OtpRejected(
            **_about(submission, now),
            submission_id=submission.submission_id,
            reason="unknown_signin",
        )
        self._add(result, None, submission, submission.traceparent)

    def succeeded(self, sign_in: SignIn, submission: Submission, now: datetime) -> None:
        """Add that the right code was submitted in time."""
        result = SignInSucceeded(**_about(sign_in, now), submission_id=submission.submission_id)
        self._add(result, sign_in, submission)

    def failed(self, sign_in: SignIn, reason: Failure, now: datetime) -> None:
        """Add that a sign-in failed."""
        self._add(SignInFailed(**_about(sign_in, now), reason=reason), sign_in)

    def expired(self, sign_in: SignIn, now: datetime) -> None:
        """Add that no right code was submitted in time."""
        self._add(SignInExpired(**_about(sign_in, now)), sign_in)

    def rejected(self, sign_in: SignIn, obstacle: Obstacle[RejectReason], now: datetime) -> None:
        """Add that attempt 1 was not acceptable."""
        result = SignInRejected(
            **_about(sign_in, now),
            reason=obstacle.reason,
            retry_after_s=_seconds_until(obstacle.free_at, now),
        )
        self._add(result, sign_in)

    def _add(
        self,
        result: Result,
        sign_in: SignIn | None,
        submission: Submission | None = None,
        traceparent: str | None = None,
    ) -> None:
        """Add a result.

        It belongs to the trace of the attempt that it answers, if any, else to its
        sign-in's.
        """
        own_traceparent = None if sign_in is None else sign_in.traceparent

        event = ResultEvent(
            result=result,
            traceparent=traceparent or own_traceparent,
            submitted_at=None if submission is None else submission.submitted_at,
            masked=None if sign_in is None else masked(sign_in.email),
        )
        self._state.outbox.setdefault(result.signin_id, []).append(event)

    def _batches(self) -> Iterator[tuple[ResultEvent, ...]]:
        """Yield batches of the oldest result of each sign-in that has none in flight."""
        queues = self._state.outbox.items()
        ready = (events[0] for signin_id, events in queues if signin_id not in self._in_flight)

        while batch := tuple(islice(ready, MAX_RESULTS_PER_PUBLICATION)):
            yield batch


class _About(TypedDict):
    """The members that every result has."""

    signin_id: str
    account: str
    occurred_at: datetime


def _about(subject: SignIn | Submission, at: datetime) -> _About:
    return {"signin_id": subject.signin_id, "account": subject.account, "occurred_at": at}


def _attempts_left(sign_in: SignIn) -> int:
    return sign_in.otp.max_attempts - sign_in.tries


def _seconds_until(moment: datetime | None, now: datetime) -> int | None:
    """Return whole seconds, at least 1."""
    return None if moment is None else max(1, math.ceil((moment - now).total_seconds()))
