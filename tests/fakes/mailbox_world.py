"""A mailbox under the rules alone: a test plays the people, the clock and the worker."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.limits import Budget, BudgetUse, Clearing, LimitsQuery
from schemas.mailbox import MailboxInput, MailboxState
from schemas.policy import LimitPolicy, Policy
from schemas.results import Result, ResultEvent
from schemas.signals import Challenge, Refusal, Rejection, Submission
from workflows.rules.jobs import CompareCode, Job, PublishResults, SendMail
from workflows.rules.mailbox import Mailbox
from workflows.rules.pace import Pace

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
RIGHT = "right"
WRONG = "wrong"
ADA = "ada"
EVE = "eve"
HOME = "192.0.2.0/24"
CAFE = "198.51.100.0/24"
GENEROUS = Policy(limits=LimitPolicy(sends_per_hour=1_000, sends_per_day=2_000))

_UNHURRIED = 1_000_000
"""Publications at once: where time stands still, none should wait for its turn."""


class MailboxWorld:
    """Drives the rules by hand.

    A seal is the right one if it equals ``RIGHT``. ``jobs`` are in flight; ``published`` are
    the results that Kafka has acknowledged.
    """

    def __init__(
        self, policy: Policy | None = None, *, state: MailboxState | None = None, pace: Pace | None = None
    ) -> None:
        self.policy = policy or Policy()
        self.now = START
        state = state or MailboxState(policy=self.policy, last_event_at=START)
        self.mailbox = Mailbox(state, pace or Pace(_UNHURRIED))
        self.jobs: list[Job] = []
        self.published: list[ResultEvent] = []
        self._numbers = itertools.count(1)

    # People

    def sign_in(self, signin_id: str = "", **changes: Any) -> str:
        """Hand over attempt 1 of a sign-in, and return the sign-in's id."""
        signin_id = signin_id or f"signin-{next(self._numbers):015}"
        self.attempt(signin_id, 1, **changes)
        return signin_id

    def mailed_sign_in(self, **changes: Any) -> str:
        """Open a sign-in, let its code be mailed, and return the sign-in's id."""
        signin_id = self.sign_in(**changes)
        self.run_jobs()
        return signin_id

    def attempt(self, signin_id: str, attempt: int, **changes: Any) -> None:
        """Hand over an acceptable attempt."""
        fields = {
            "signin_id": signin_id,
            "attempt": attempt,
            "email": "ada@example.com",
            "account": ADA,
            "requested_at": self.now,
            "born_at": self.now,
            "decided_at": self.now,
            "key_id": "k",
            "network": HOME,
            "policy": self.policy,
        }
        challenge = Challenge.model_validate(fields | changes)

        self.mailbox.open_or_resend(challenge, f"nonce-{signin_id}", self.now)

    def refuse(self, signin_id: str, attempt: int, reason: str = "challenge_failed") -> None:
        """Hand over the refusal of an attempt."""
        fields = {"signin_id": signin_id, "attempt": attempt, "reason": reason, "decided_at": self.now}
        self.mailbox.refuse_resend(Refusal.model_validate(fields), self.now)

    def reject(self, signin_id: str) -> None:
        """Hand over the rejection of attempt 1."""
        rejection = Rejection(
            signin_id=signin_id,
            email="ada@example.com",
            account=ADA,
            reason="challenge_failed",
            decided_at=self.now,
        )
        self.mailbox.reject(rejection, self.now)

    def submit(
        self,
        signin_id: str,
        seal: str,
        account: str = ADA,
        submission_id: str = "",
        read_at: datetime | None = None,
    ) -> str:
        """Submit a code, read just now unless the test says otherwise. Return the submission's id."""
        submission = Submission(
            signin_id=signin_id,
            submission_id=submission_id or f"submission-{next(self._numbers):010}",
            account=account,
            seal=seal,
            key_id="k",
            submitted_at=self.now,
            read_at=read_at or self.now,
        )

        self.mailbox.submit(submission, self.now)
        return submission.submission_id

    def submit_wrong(self, signin_id: str, times: int, account: str = ADA) -> None:
        """Submit wrong codes."""
        for _ in range(times):
            self.submit(signin_id, WRONG, account)

    def clear(self, account: str = ADA, *, mails: bool = True, failures: bool = True) -> None:
        """Clear budgets, as an operator does."""
        clearing = Clearing(
            account=account,
            mails=mails,
            failures=failures,
            operator="grace",
            masked="a***@e***.com",
        )
        self.mailbox.clear_limits(clearing)

    def limits(self, account: str = ADA) -> dict[Budget, BudgetUse]:
        """Return how much of each budget is spent."""
        report = self.mailbox.limits(LimitsQuery(account=account, as_of=self.now))
        return {use.budget: use for use in report.budgets}

    # The clock

    def wait(self, seconds: float) -> None:
        """Let time pass, and let the mailbox apply what is due."""
        self.now += timedelta(seconds=seconds)
        self.mailbox.tick(self.now)

    def next_wake_up(self) -> timedelta:
        """Return how long the mailbox would sleep now."""
        deadline = self.mailbox.next_deadline(self.now)
        assert deadline is not None
        return deadline - self.now

    # The worker

    def take_jobs(self, **held: bool) -> list[Job]:
        """Apply what is due, and return the jobs that the mailbox starts, as the workflow does.

        They stay in flight until ``finish`` is called.
        """
        jobs = self.mailbox.take_jobs(self.now, **held)
        self.jobs += jobs
        return jobs

    def take_job(self) -> Job:
        """Return the one job that the mailbox starts."""
        (job,) = self.take_jobs()
        return job

    def finish(self, job: Job, fault: str | None = None) -> None:
        """Finish a job, well or with a fault.

        The fault is ``again`` or ``never`` for a mail, and any text for a compare. Nothing comes
        with it, so what is decided is applied.
        """
        self.jobs.remove(job)

        match job:
            case SendMail() if fault == "again":
                self.mailbox.on_mail_failed(job.signin_id, job.attempt, self.now)
            case SendMail() if fault == "never":
                self.mailbox.on_mail_refused(job.signin_id, job.attempt, self.now)
            case SendMail():
                self.mailbox.on_mail_accepted(job.signin_id, job.attempt, self.now)
            case CompareCode() if fault:
                self.mailbox.on_compare_failed(job.signin_id)
            case CompareCode():
                self.mailbox.on_compared(job.signin_id, job.task.seal == RIGHT)
            case PublishResults():
                self.mailbox.on_published(job)
                self.published += job.events

        self.mailbox.tick(self.now)

    def run_jobs(self) -> None:
        """Let every job succeed at once, until none is left."""
        while self.take_jobs() or self.jobs:
            self.finish(self.jobs[0])

    # Results

    def outcomes(self, signin_id: str | None = None) -> list[str]:
        """Run all jobs, and return the published results as summaries."""
        self.run_jobs()
        return [summary(result) for result in self.results(signin_id)]

    def results(self, signin_id: str | None = None) -> list[Result]:
        """Return the published results, of one sign-in or of all."""
        return [event.result for event in self.published if signin_id in (None, event.result.signin_id)]

    def last_result(self, signin_id: str | None = None) -> Result:
        """Run all jobs, and return the last published result, of one sign-in or of all."""
        self.run_jobs()
        return self.results(signin_id)[-1]

    # A new run

    def continue_as_new(self) -> None:
        """Carry the state over as Temporal does, as JSON. The jobs in flight are given up."""
        self.mailbox.give_up_jobs()
        state = self.mailbox.state
        carried = MailboxInput(policy=state.policy, carried=state).model_dump_json()
        loaded = MailboxInput.model_validate_json(carried).carried

        assert loaded is not None
        assert loaded == state

        self.mailbox = Mailbox(loaded, Pace(_UNHURRIED))
        self.jobs = []


def summary(result: Result) -> str:
    """Return the type of a result and its reason, if it has one."""
    reason = getattr(result, "reason", None)
    return result.type if reason is None else f"{result.type} {reason}"
