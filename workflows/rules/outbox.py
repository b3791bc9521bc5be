"""The results that Kafka has not acknowledged, published in order for each sign-in."""

import math
from datetime import datetime
from itertools import accumulate, islice
from typing import Final, TypedDict

from activities.addresses import masked
from schemas.mailbox import HeldRefusal, MailboxState, PendingMail, SignIn
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
from schemas.signals import Challenge, Rejection, Submission
from workflows.rules.attempts import Obstacle
from workflows.rules.jobs import PublishResults, is_reproducible, queue_of
from workflows.rules.moments import may_be_capped
from workflows.rules.pace import Pace

MAX_RESULTS_PER_PUBLICATION: Final = 64
"""With one result each, a flood of requests would be a flood of activities."""

MAX_PUBLICATIONS_IN_FLIGHT: Final = 64
"""A server has room for 2,000 pending activities per workflow. A task that would exceed this
fails, at every retry.
"""

MAX_CARRIED_RESULTS: Final = 64
"""Results of sign-ins that are over or unknown, beyond which a new run is not given them."""

MAX_OVERFLOW_RESULTS: Final = 500
"""Results that leave a mailbox together, to be published by a workflow of their own."""

MAX_LOCKED_ANSWERS: Final = 32
"""Unpublished results of one live sign-in, beyond which it tells nobody that its account is locked.

Only while Kafka takes nothing are there so many.
"""

Subject = SignIn | Challenge | Rejection
"""Whom a result is about: a sign-in, or the request for one."""


class Outbox:
    """First-in, first-out queues of results: one for each sign-in, and one for each ``unknown_signin``.

    A result goes out only when the one before it was acknowledged, or in the same
    publication, after it.
    """

    def __init__(self, state: MailboxState, pace: Pace) -> None:
        self._state = state
        self._pace = pace
        self._publications = 0
        self._in_flight = set[str]()
        self._durable = set[str]()
        self._ready = dict.fromkeys(state.outbox)

    def start_publications(self, now: datetime) -> list[PublishResults]:
        """Return the publications that may start now, and count them as in flight.

        A publication that is not full waits for its turn (``Pace``).
        """
        publications: list[PublishResults] = []

        while self._ready and self._publications < MAX_PUBLICATIONS_IN_FLIGHT:
            batch = self._next_batch()
            is_full = len(batch) == MAX_RESULTS_PER_PUBLICATION
            if not is_full and not self._pace.allows(now):
                break

            publications.append(self._start(batch, now))

        return publications

    def next_start(self) -> datetime | None:
        """Return when a publication that waits for its turn may start, or None if none waits."""
        return self._pace.next_turn() if self._ready else None

    def acknowledge(self, publication: PublishResults) -> None:
        """Drop the results that Kafka acknowledged."""
        self._publications -= 1
        published = frozenset(publication.events)
        self._durable.difference_update(event.event_id for event in publication.events)

        for queue in publication.queues:
            self._in_flight.discard(queue)
            events = self._state.outbox.pop(queue, [])
            if kept := [event for event in events if event not in published]:
                self._state.outbox[queue] = kept
                self._ready[queue] = None

    def take_overflow(self) -> dict[str, list[ResultEvent]]:
        """Remove and return the oldest results, if there are too many for a new run.

        They may be in flight: publishing them again does no harm. None of them belongs to a
        live sign-in, whose later results must not overtake them.
        """
        live = self._state.live
        ended = {queue: len(events) for queue, events in self._state.outbox.items() if queue not in live}
        if sum(ended.values()) <= MAX_CARRIED_RESULTS:
            return {}

        counts = accumulate(ended.values(), initial=0)
        oldest = [queue for queue, before in zip(ended, counts, strict=False) if before < MAX_OVERFLOW_RESULTS]
        for queue in oldest:
            self._ready.pop(queue, None)
        return {queue: self._state.outbox.pop(queue) for queue in oldest}

    def code_sent(self, sign_in: SignIn, mail: PendingMail, at: datetime, *, is_first: bool) -> None:
        """Add that the mail server accepted an attempt's mail.

        History holds the moment ``at`` and everything else in this result. But only the first mail of
        a sign-in is told of before any verdict: a task that is done again, with a right code, tells of
        no later one. So a later one is published once history holds that it is.
        """
        result = CodeSent(
            **_about(sign_in, at),
            attempt=mail.attempt,
            expires_at=sign_in.expires_at,
            resend_after=mail.resend_after,
        )
        self._add(result, sign_in, traceparent=mail.traceparent, durably=not is_first)

    def refusals(self, sign_in: SignIn, before: datetime | None = None) -> None:
        """Add the refusals that were held, or those of them that came before a moment."""
        held = sign_in.refusals
        sign_in.refusals = [] if before is None else [refusal for refusal in held if refusal.at >= before]

        for refusal in held[: len(held) - len(sign_in.refusals)]:
            sign_in.judged_at = max(refusal.at, sign_in.judged_at or refusal.at)
            self.resend_refused(sign_in, refusal, Obstacle(refusal.reason, refusal.free_at), refusal.at)

    def resend_refused(
        self,
        sign_in: SignIn,
        attempt: HeldRefusal | PendingMail,
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
        if len(self._state.outbox.get(sign_in.signin_id, ())) >= MAX_LOCKED_ANSWERS:
            return

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

    def succeeded(self, sign_in: SignIn, submission: Submission, now: datetime, *, is_mailing: bool) -> None:
        """Add that the right code was submitted in time.

        While another mail of the sign-in waits for its turn (``is_mailing``), history must hold that it
        is cancelled before anybody hears of the end.
        """
        result = SignInSucceeded(**_about(sign_in, now), submission_id=submission.submission_id)
        self._add(result, sign_in, submission, durably=is_mailing)

    def failed(self, sign_in: Subject, reason: Failure, now: datetime, *, is_mailing: bool) -> None:
        """Add that a sign-in failed. For ``is_mailing``, see ``succeeded``."""
        self._add(SignInFailed(**_about(sign_in, now), reason=reason), sign_in, durably=is_mailing)

    def expired(self, sign_in: SignIn, now: datetime) -> None:
        """Add that no right code was submitted in time."""
        self._add(SignInExpired(**_about(sign_in, now)), sign_in)

    def rejected(self, sign_in: Subject, obstacle: Obstacle[RejectReason], now: datetime) -> None:
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
        sign_in: Subject | None,
        submission: Submission | None = None,
        traceparent: str | None = None,
        durably: bool = False,
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
        queue = queue_of(event)
        self._state.outbox.setdefault(queue, []).append(event)
        if queue not in self._in_flight:
            self._ready[queue] = None
        if durably:
            self._durable.add(event.event_id)

    def _start(self, batch: tuple[ResultEvent, ...], now: datetime) -> PublishResults:
        is_certain = not may_be_capped(self._state.last_event_at, now)
        publication = PublishResults(batch, may_be_local=is_certain and all(map(self._may_be_local, batch)))

        self._publications += 1
        self._in_flight.update(publication.queues)
        for queue in publication.queues:
            del self._ready[queue]
        return publication

    def _may_be_local(self, event: ResultEvent) -> bool:
        return is_reproducible(event.result) and event.event_id not in self._durable

    def _next_batch(self) -> tuple[ResultEvent, ...]:
        """Return the oldest results of queues that have none in flight."""
        results = (event for queue in self._ready for event in self._state.outbox[queue])
        return tuple(islice(results, MAX_RESULTS_PER_PUBLICATION))


class _About(TypedDict):
    """The members that every result has."""

    signin_id: str
    account: str
    occurred_at: datetime


def _about(subject: Subject | Submission, at: datetime) -> _About:
    return {"signin_id": subject.signin_id, "account": subject.account, "occurred_at": at}


def _attempts_left(sign_in: SignIn) -> int:
    return sign_in.otp.max_attempts - sign_in.tries


def _seconds_until(moment: datetime | None, now: datetime) -> int | None:
    """Return whole seconds, at least 1."""
    return None if moment is None else max(1, math.ceil((moment - now).total_seconds()))
