"""A request's task that is done again cannot contradict the worker that did it first.

Worker A freezes or dies just before, in, or just after its hand-over. Its task goes to worker B, which
may find something else: the token is spent by then.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from temporalio.bridge.proto.workflow_activation import ResolveActivity, WorkflowActivationJob

from schemas.inbound import SignInRequested
from schemas.policy import Policy
from schemas.results import TERMINAL_TYPES, ResultEvent
from schemas.signals import Challenge, Refusal, Rejection, SignInInput
from schemas.tasks import EmailVerdict, HandOver, IssuedCode, Publication, TokenVerdict
from tests.fakes.mailbox_world import ADA, START, MailboxWorld
from tests.fakes.workflow_instances import from_payload, to_payload
from tests.fakes.workflow_runs import Run
from workflows.sign_in import SignInWorkflow

FIRST_TASK = 3  # events: the start, then the task scheduled and started
DONE_AGAIN = 6  # then it timed out, and was scheduled and started again
SIGNIN_ID = "signin-000000000000001"


class RequestWorker:
    """A worker that does the first task of one request. ``accepts``: what siteverify says of its token.

    ``is_slow``: siteverify is too slow for a local activity, so the answer comes in the second task.
    ``codes``: the key of the code is chosen at once, too slowly for a local activity, or never.
    """

    def __init__(
        self, events: int, *, accepts: bool, is_slow: bool = False, codes: str = "at once", attempt: int = 1
    ) -> None:
        request = SignInRequested(signin_id=SIGNIN_ID, attempt=attempt, email="ada@example.com", requested_at=START)
        sign_in = SignInInput(request=request, born_at=START, policy=Policy())
        self._run = Run(f"signin/{SIGNIN_ID}/1", sign_in, START, START, workflow=SignInWorkflow, events=events)
        self._accepts = accepts
        self._is_slow = is_slow
        self._codes = codes
        self._slow: list[WorkflowActivationJob] = []
        self.at = START if events == FIRST_TASK else START + timedelta(seconds=10)
        self.messages: list[Challenge | Refusal | Rejection] = []
        self.published: list[ResultEvent] = []
        self.activities: list[str] = []

    def work(self) -> None:
        """Do the task, and a second one if there is any. What is handed over and published is kept."""
        self._do_task(self._run.pending)
        self._run.events += 8
        self._do_task(self._slow)

    def _do_task(self, jobs: Sequence[WorkflowActivationJob]) -> None:
        while jobs:
            commands = self._run.activate(self.at, list(jobs))
            jobs = [job for command in commands for job in self._obey(command)]

    def _obey(self, command: Any) -> list[WorkflowActivationJob]:
        details = getattr(command, command.WhichOneof("variant"))
        kind = getattr(details, "activity_type", "")
        self.activities.append(kind)
        match kind:
            case "validate_email_activity":
                return [_ended(details.seq, EmailVerdict(account=ADA, mailbox="m"))]
            case "generate_otp_activity" if command.HasField("schedule_activity"):
                is_chosen = self._codes == "slowly"
                self._slow = [
                    _ended(details.seq, IssuedCode(key_id="k"), is_local=False)
                    if is_chosen
                    else _failed(details.seq, is_local=False)
                ]
            case "generate_otp_activity":
                return [
                    _ended(details.seq, IssuedCode(key_id="k")) if self._codes == "at once" else _failed(details.seq)
                ]
            case "verify_turnstile_activity" if command.HasField("schedule_activity"):
                self._slow = [_ended(details.seq, TokenVerdict(passed=self._accepts), is_local=False)]
            case "verify_turnstile_activity" if self._is_slow:
                return [_failed(details.seq)]
            case "verify_turnstile_activity":
                return [_ended(details.seq, TokenVerdict(passed=self._accepts))]
            case "hand_over_activity":
                self.messages.append(from_payload(details.arguments[0], HandOver).message)
                return [_ended(details.seq, None)]
            case "publish_result_activity":
                self.published += from_payload(details.arguments[0], Publication).events
        return []


def deliver(world: MailboxWorld, worker: RequestWorker) -> None:
    """Let the mailbox have what a worker handed over."""
    for message in worker.messages:
        match message:
            case Challenge():
                world.mailbox.open_or_resend(message, "nonce", world.now)
            case Refusal():
                world.mailbox.refuse_resend(message, world.now)
            case Rejection():
                world.mailbox.reject(message, world.now)


def endings(world: MailboxWorld, *workers: RequestWorker) -> list[str]:
    """Return the terminal results that were published, by whomever, once everything is over."""
    world.run_jobs()
    world.wait(300)
    world.run_jobs()
    events = [*world.published, *(event for worker in workers for event in worker.published)]
    return [event.result.type for event in events if event.result.type in TERMINAL_TYPES]


@pytest.mark.parametrize("first_to_arrive", ["a", "b"])
def test_a_hand_over_and_a_rejection_have_one_end(first_to_arrive: str) -> None:
    """A accepted and B rejected. Whichever message the mailbox hears first counts.

    Where A comes last, it was frozen before its hand-over and thaws only now.
    """
    world = MailboxWorld()
    a = RequestWorker(FIRST_TASK, accepts=True)
    b = RequestWorker(DONE_AGAIN, accepts=False)
    a.work()
    b.work()
    for worker in (a, b) if first_to_arrive == "a" else (b, a):
        deliver(world, worker)

    assert endings(world, a, b) == ["signin.expired" if first_to_arrive == "a" else "signin.rejected"]


@pytest.mark.parametrize("is_slow", [False, True])
def test_a_rejection_by_a_task_that_was_done_once_does_not_bother_the_mailbox(is_slow: bool) -> None:
    """Nobody can have handed the sign-in over before, so junk starts no mailbox, also while Turnstile is slow."""
    worker = RequestWorker(FIRST_TASK, accepts=False, is_slow=is_slow)
    worker.work()

    assert worker.messages == []
    assert [event.result.type for event in worker.published] == ["signin.rejected"]


@pytest.mark.parametrize("first_to_arrive", ["a", "b"])
def test_a_slow_siteverify_changes_nothing(first_to_arrive: str) -> None:
    """B hears of the spent token in its second task."""
    world = MailboxWorld()
    a = RequestWorker(FIRST_TASK, accepts=True)
    b = RequestWorker(DONE_AGAIN, accepts=False, is_slow=True)
    a.work()
    b.work()
    for worker in (a, b) if first_to_arrive == "a" else (b, a):
        deliver(world, worker)

    assert len(endings(world, a, b)) == 1


@pytest.mark.parametrize("codes", ["at once", "slowly", "never"])
def test_a_code_is_issued_before_the_hand_over(codes: str) -> None:
    """Its key travels with it. If no worker can choose one, the mailbox fails the sign-in, also after a repeat."""
    world = MailboxWorld()
    worker = RequestWorker(FIRST_TASK, accepts=True, codes=codes)
    worker.work()
    deliver(world, worker)
    deliver(world, worker)

    assert [message.key_id for message in worker.messages if isinstance(message, Challenge)] == [
        None if codes == "never" else "k"
    ]
    assert endings(world, worker) == ["signin.failed" if codes == "never" else "signin.expired"]


@pytest.mark.parametrize("codes", ["slowly", "never"])
def test_a_rejection_does_not_wait_for_a_code(codes: str) -> None:
    """It is published in the first task, and no normal activity issues a code that nobody needs."""
    worker = RequestWorker(FIRST_TASK, accepts=False, codes=codes)
    worker.work()

    assert [event.result.type for event in worker.published] == ["signin.rejected"]
    assert worker.activities.count("generate_otp_activity") == 1


def test_only_the_first_attempt_issues_a_code() -> None:
    """A later one sends the same code again (SECURITY S10)."""
    worker = RequestWorker(FIRST_TASK, accepts=True, attempt=2)
    worker.work()

    assert "generate_otp_activity" not in worker.activities


def _failed(seq: int, *, is_local: bool = True) -> WorkflowActivationJob:
    resolved = ResolveActivity(seq=seq, is_local=is_local)
    resolved.result.failed.failure.timeout_failure_info.SetInParent()
    return WorkflowActivationJob(resolve_activity=resolved)


def _ended(seq: int, result: object, *, is_local: bool = True) -> WorkflowActivationJob:
    resolved = ResolveActivity(seq=seq, is_local=is_local)
    resolved.result.completed.result.CopyFrom(to_payload(result))
    return WorkflowActivationJob(resolve_activity=resolved)
