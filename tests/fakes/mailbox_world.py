"""A mailbox of which a test is the clock, the people and the worker."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.limits import Budget, BudgetUse, Clearing, LimitsQuery
from schemas.mailbox import MailboxInput, MailboxState
from schemas.policy import Policy
from schemas.results import Result, ResultEvent
from schemas.signals import Challenge, Refusal, Submission
from workflows.rules.jobs import CompareCode, IssueCode, Job, PublishResults, SendMail
from workflows.rules.mailbox import Mailbox

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
RIGHT = "right"
ADA, EVE = "ada", "eve"
HOME, CAFE = "192.0.2.0/24", "198.51.100.0/24"


class MailboxWorld:
    """Drives the rules by hand. A seal is right if it says so; ``published`` is what Kafka has acknowledged."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.now = START
        self.mailbox = Mailbox(MailboxState(policy=self.policy, last_event_at=START))
        self.jobs: list[Job] = []
        self.published: list[ResultEvent] = []
        self._numbers = itertools.count(1)

    # People

    def sign_in(self, signin_id: str = "", **changes: Any) -> str:
        """Hand attempt 1 over; return the sign-in's id."""
        signin_id = signin_id or f"signin-{next(self._numbers):015}"
        self.attempt(signin_id, 1, **changes)
        return signin_id

    def attempt(self, signin_id: str, attempt: int, **changes: Any) -> None:
        """Hand an acceptable attempt over."""
        challenge = {
            "signin_id": signin_id,
            "attempt": attempt,
            "email": "ada@example.com",
            "account": ADA,
            "requested_at": self.now,
            "born_at": self.now,
            "network": HOME,
            "policy": self.policy,
        }
        self.mailbox.open_or_resend(Challenge.model_validate(challenge | changes), f"nonce-{signin_id}", self.now)

    def refuse(self, signin_id: str, attempt: int, reason: str = "challenge_failed") -> None:
        """Hand word of a bad attempt over."""
        refusal = {"signin_id": signin_id, "attempt": attempt, "reason": reason}
        self.mailbox.refuse_resend(Refusal.model_validate(refusal), self.now)

    def submit(self, signin_id: str, seal: str, account: str = ADA, submission_id: str = "") -> str:
        """Submit a code; return the submission's id."""
        submission_id = submission_id or f"submission-{next(self._numbers):010}"
        submission = Submission(
            signin_id=signin_id,
            submission_id=submission_id,
            account=account,
            seal=seal,
            key_id="k",
            submitted_at=self.now,
        )
        self.mailbox.submit(submission, self.now)

        return submission_id

    def clear(self, account: str = ADA, *, mails: bool = True, failures: bool = True) -> None:
        """Let an operator give budgets back."""
        clearing = Clearing(account=account, mails=mails, failures=failures, operator="grace", masked="a***@e***.com")
        self.mailbox.clear_limits(clearing, self.now)

    def limits(self, account: str = ADA) -> dict[Budget, BudgetUse]:
        """Ask about the budgets."""
        report = self.mailbox.limits(LimitsQuery(account=account, as_of=self.now))
        return {one.budget: one for one in report.budgets}

    # The clock

    def wait(self, seconds: float) -> None:
        """Let time pass, and what is due happen."""
        self.now += timedelta(seconds=seconds)
        self.mailbox.tick(self.now)

    # The worker

    def take(self, **held: bool) -> list[Job]:
        """Let the mailbox say what is to be done; it stays in flight until ``end`` is called."""
        jobs = self.mailbox.take_jobs(self.now, **held)
        self.jobs += jobs
        return jobs

    def end(self, job: Job, fault: str | None = None) -> None:
        """End a job in flight, well or with a fault (``again`` or ``never`` for mails, any text for compares)."""
        self.jobs.remove(job)
        match job:
            case IssueCode():
                self.mailbox.on_code_issued(job.signin_id, "k")
            case SendMail() if fault == "again":
                self.mailbox.on_mail_failed(job.signin_id, job.attempt, self.now)
            case SendMail() if fault == "never":
                self.mailbox.on_mail_refused(job.signin_id, job.attempt, self.now)
            case SendMail():
                self.mailbox.on_mail_accepted(job.signin_id, job.attempt, self.now)
            case CompareCode() if fault:
                self.mailbox.on_compare_failed(job.signin_id)
            case CompareCode():
                self.mailbox.on_compared(job.signin_id, job.task.seal == RIGHT, self.now)
            case PublishResults():
                self.mailbox.on_published(job)
                self.published += job.events

    def work(self) -> None:
        """Do all there is to do, at once and well."""
        while self.take() or self.jobs:
            self.end(self.jobs[0])

    def said(self, signin_id: str | None = None) -> list[str]:
        """Return what was published, in short: type and reason."""
        self.work()
        return [in_short(result) for result in self.results(signin_id)]

    def results(self, signin_id: str | None = None) -> list[Result]:
        """Return what was published."""
        return [one.result for one in self.published if signin_id in (None, one.result.signin_id)]

    def last(self) -> Result:
        """Do what there is to do, and return the last result."""
        self.work()
        return self.published[-1].result

    def last_of(self, signin_id: str) -> Result:
        """Do what there is to do, and return the last result of a sign-in."""
        self.work()
        return self.results(signin_id)[-1]

    # A new run

    def continue_as_new(self) -> None:
        """Carry the state over as Temporal does: as JSON. What was in flight is lost."""
        state = self.mailbox.state
        carried = MailboxInput(policy=state.policy, carried=state).model_dump_json()
        loaded = MailboxInput.model_validate_json(carried).carried
        assert loaded is not None
        assert loaded == state
        self.mailbox = Mailbox(loaded)
        self.jobs = []


def in_short(result: Result) -> str:
    """Return type and reason of a result."""
    reason = getattr(result, "reason", None)
    return result.type if reason is None else f"{result.type} {reason}"
