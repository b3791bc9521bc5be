"""``VerifyOTPWorkflow``: one mailbox. The workflow awaits; ``Mailbox`` decides."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import assert_never

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.workflow import ContinueAsNewVersioningBehavior, ParentClosePolicy

from activities.clearing import ClearingActivities
from schemas.limits import Clearing, LimitsQuery, LimitsReport
from schemas.mailbox import MailboxInput, MailboxState, MailboxStatus
from schemas.signals import Challenge, Refusal, Rejection, Submission
from workflows.inbox import Inbox, Signal
from workflows.job_runner import JobRunner
from workflows.names import (
    CLEAR_LIMITS_UPDATE,
    LIMITS_QUERY,
    STATUS_QUERY,
    VERIFY_OTP_WORKFLOW,
)
from workflows.rules.jobs import Job
from workflows.rules.mailbox import Mailbox
from workflows.run_limits import RunLimits
from workflows.steps import run_durable_step
from workflows.timeouts import WORKFLOW_TASK_TIMEOUT
from workflows.visibility import Visibility
from workflows.wake_up import WakeUpTimers

_PAUSE_BETWEEN_BATCHES = timedelta(milliseconds=1)
_OVERFLOW = "/overflow/"


@workflow.defn(name=VERIFY_OTP_WORKFLOW)
class VerifyOTPWorkflow:
    """Issues, sends and checks the codes of one mailbox, and publishes the results."""

    @workflow.init
    def __init__(self, mailbox: MailboxInput) -> None:
        started_at = workflow.info().workflow_start_time
        state = mailbox.carried or MailboxState(policy=mailbox.policy, last_event_at=started_at)
        self._mailbox = Mailbox(state)
        self._runner = JobRunner(self._mailbox)
        self._visibility = Visibility()
        self._inbox = Inbox(workflow.payload_converter())
        self._timers = WakeUpTimers(self._wake)

        self._run_limits = RunLimits(self._mailbox)

        self._has_changed = True
        self._jobs: dict[asyncio.Task[None], Job] = {}

    @workflow.run
    async def run(self, mailbox: MailboxInput) -> None:
        """Serve the mailbox until there is nothing left to remember."""
        has_heard_all = False
        while True:
            self._has_changed = False
            self._apply_signals()
            self._start_jobs()
            self._cancel_jobs()
            self._update_visibility()

            if self._inbox:
                await self._end_workflow_task()
                has_heard_all = True
                continue
            if self._is_done():
                return
            if self._may_continue_as_new() and not self._is_waiting_for_last_jobs():
                has_heard_all = await self._continue_as_new(has_heard_all=has_heard_all)
                continue

            self._set_timer()
            await workflow.wait_condition(lambda: self._has_changed)
            has_heard_all = False

    # Signals, queries, updates

    @workflow.signal(dynamic=True)
    def receive(self, name: str, arguments: Sequence[RawValue]) -> None:
        """Take any signal. ``workflows.inbox`` says which there are; one that is not may come from a newer release."""
        self._inbox.put(name, arguments)
        self._run_limits.count_signal()
        self._wake()

    @workflow.query(name=STATUS_QUERY)
    def status(self) -> MailboxStatus:
        """Count what is there."""
        return self._mailbox.status()

    @workflow.query(name=LIMITS_QUERY)
    def limits(self, query: LimitsQuery) -> LimitsReport:
        """Report how much of each budget is spent."""
        return self._mailbox.limits(query)

    @workflow.update(name=CLEAR_LIMITS_UPDATE)
    async def clear_limits(self, clearing: Clearing) -> LimitsReport:
        """Record it in the audit trail, clear budgets, and return what was spent before.

        In this order: an update is in the server's memory alone until its first task has
        completed. A verdict under cleared limits, published in that task, would contradict the
        one of a task that is done again without the update (docs/adr/0039).
        """
        before = self._mailbox.limits(LimitsQuery(account=clearing.account, as_of=workflow.now()))

        await run_durable_step(ClearingActivities.report_clearing_activity, clearing)
        self._mailbox.clear_limits(clearing)
        self._wake()
        return before

    # The steps of the loop

    def _wake(self) -> None:
        self._has_changed = True

    def _apply_signals(self) -> None:
        for signal in self._inbox.read_batch():
            try:
                self._apply(signal)
            except Exception:
                self._abandon_signal(signal)

    def _apply(self, signal: Signal) -> None:
        now = workflow.now()

        match signal:
            case Challenge():
                self._mailbox.open_or_resend(signal, workflow.info().first_execution_run_id, now)
            case Refusal():
                self._mailbox.refuse_resend(signal, now)
            case Rejection():
                self._mailbox.reject(signal, now)
            case Submission():
                self._mailbox.submit(signal, now)
            case never:
                assert_never(never)

    def _start_jobs(self) -> None:
        now = workflow.now()
        hold_mails = self._is_ending() and workflow.all_handlers_finished()
        jobs = self._mailbox.take_jobs(
            now,
            are_signals_unread=bool(self._inbox),
            hold_mails=hold_mails,
            hold_compares=hold_mails and not self._mailbox.is_sending,
        )

        for job in jobs:
            task = asyncio.create_task(self._run_job(job))
            self._jobs[task] = job
            task.add_done_callback(self._jobs.pop)

    def _cancel_jobs(self) -> None:
        for task, job in self._jobs.items():
            if self._runner.is_pointless(job) and not task.cancelling():
                task.cancel()

    async def _run_job(self, job: Job) -> None:
        try:
            await self._runner.run(job)
        except Exception:
            self._abandon(job.signin_ids)
        self._wake()

    def _abandon(self, signin_ids: tuple[str, ...]) -> None:
        """Log the error that the rules raised, and fail the sign-ins that it concerns."""
        workflow.logger.exception("the rules failed", extra={"signin_ids": signin_ids})
        for signin_id in signin_ids:
            self._mailbox.abandon(signin_id, workflow.now())

    def _abandon_signal(self, signal: Signal) -> None:
        """Log the error that the rules raised, and fail the sign-in: a first attempt must have an end."""
        workflow.logger.exception("the rules failed", extra={"signin_ids": (signal.signin_id,)})
        if isinstance(signal, Challenge | Rejection):
            self._mailbox.abandon_request(signal, workflow.now())
        else:
            self._mailbox.abandon(signal.signin_id, workflow.now())

    def _update_visibility(self) -> None:
        if not self._mailbox.state.policy.search_attributes:
            return

        self._visibility.update(
            has_live_sign_ins=self._mailbox.has_live_sign_ins,
            locked_until=self._mailbox.locked_until(workflow.now()),
        )

    async def _end_workflow_task(self) -> None:
        """Let the workflow task end, because the SDK fails one that computes for too long.

        The loop goes on only when everything else that the next task delivers has been
        applied.
        """
        await workflow.sleep(_PAUSE_BETWEEN_BATCHES)
        await workflow.wait_condition(lambda: True)

    def _is_done(self) -> bool:
        return self._mailbox.is_done(workflow.now()) and workflow.all_handlers_finished()

    def _set_timer(self) -> None:
        deadlines = (self._mailbox.next_deadline(workflow.now()), self._run_limits.next_deadline())
        if deadline := min(filter(None, deadlines), default=None):
            self._timers.set(deadline)

    # A new run

    def _is_ending(self) -> bool:
        return self._run_limits.are_reached and not self._inbox

    def _may_continue_as_new(self) -> bool:
        """Tell whether a new run may take over.

        A mail in flight would be sent twice, a compare made for nothing.
        """
        if self._run_limits.are_exceeded:
            return True

        is_busy = self._mailbox.is_sending or self._mailbox.is_comparing
        return self._is_ending() and not is_busy and workflow.all_handlers_finished()

    def _is_waiting_for_last_jobs(self) -> bool:
        return bool(self._jobs) and self._run_limits.allow_last_jobs()

    async def _continue_as_new(self, *, has_heard_all: bool) -> bool:
        """Hand everything to a new run, or do first what comes before. Return whether all that ended has been heard of.

        The new run is served by the release that is current then (docs/adr/0028). It does again what is in flight,
        such as a publication that Kafka is slow to acknowledge. That may have ended: the SDK tells of it after the
        signals of the same workflow task.
        """
        overflow = None if self._is_overflow() else self._mailbox.take_overflow(workflow.now())
        if overflow is not None:
            await self._start_overflow(overflow)
            return True

        if self._jobs and not has_heard_all:
            await self._end_workflow_task()
            return True

        self._mailbox.give_up_jobs()
        state = self._mailbox.state
        workflow.continue_as_new(
            MailboxInput(policy=state.policy, carried=state),
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            initial_versioning_behavior=ContinueAsNewVersioningBehavior.AUTO_UPGRADE,
        )

    def _is_overflow(self) -> bool:
        """Tell whether this workflow only publishes what was too much for a run of its mailbox.

        It never starts another: a child is pinned to the release of its parent, and would be told at once that
        another is current.
        """
        return _OVERFLOW in workflow.info().workflow_id

    async def _start_overflow(self, overflow: MailboxState) -> None:
        """Let another workflow publish what is too much for a new run."""
        mailbox_id, *_ = workflow.info().workflow_id.split(_OVERFLOW)
        await workflow.start_child_workflow(
            VERIFY_OTP_WORKFLOW,
            MailboxInput(policy=overflow.policy, carried=overflow),
            id=f"{mailbox_id}{_OVERFLOW}{workflow.uuid4()}",
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            parent_close_policy=ParentClosePolicy.ABANDON,
        )
        await workflow.wait_condition(lambda: True)  # until all else that the same task delivers has been applied
