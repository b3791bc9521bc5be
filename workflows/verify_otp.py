"""``VerifyOTPWorkflow``: one mailbox. It awaits; the rules are asked of ``Mailbox``."""

import asyncio
from datetime import datetime, timedelta
from typing import assert_never

from temporalio import workflow
from temporalio.common import Priority, RawValue, RetryPolicy
from temporalio.exceptions import FailureError

from activities.clearing import ClearingActivities
from activities.delivery import DeliveryActivities
from activities.otp import OtpActivities
from activities.publishing import PublishingActivities
from schemas.limits import Clearing, LimitsQuery, LimitsReport
from schemas.mailbox import MailboxInput, MailboxState, MailboxStatus
from schemas.signals import Challenge, Refusal, Submission
from schemas.tasks import Publication
from workflows.inbox import Inbox, Told
from workflows.rules.jobs import CompareCode, IssueCode, Job, PublishResults, SendMail
from workflows.rules.mailbox import Mailbox
from workflows.names import (
    CLEAR_LIMITS_UPDATE,
    HAS_TAKEN_QUERY,
    LIMITS_QUERY,
    OPEN_OR_RESEND_SIGNAL,
    REFUSE_RESEND_SIGNAL,
    STATUS_QUERY,
    SUBMIT_SIGNAL,
    VERIFY_OTP_WORKFLOW,
)
from workflows.steps import durable_step, failure_type, step
from workflows.visibility import Visibility

_MUCH_LATER = timedelta(hours=1)
_LAST_PUBLICATIONS = timedelta(seconds=3)
_BREATH = timedelta(milliseconds=1)
_NEVER_DELIVERED = ["MailRefused"]
# Where mails wait for the rate of all workers. Fairness keys would share it, but a server heeds them only if told to.
_FIRST, _THEN = Priority(priority_key=1), Priority(priority_key=2)


@workflow.defn(name=VERIFY_OTP_WORKFLOW)
class VerifyOTPWorkflow:
    """Issues, sends and checks the codes of one mailbox, and publishes all that is said about its sign-ins."""

    @workflow.init
    def __init__(self, mailbox: MailboxInput) -> None:
        self._mailbox = Mailbox(mailbox.carried or MailboxState(policy=mailbox.policy, last_event_at=workflow.now()))
        self._visibility = Visibility()
        self._inbox = Inbox(workflow.payload_converter())
        self._changed = True
        self._signals = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Task[None] | None = None
        self._timer_at: datetime | None = None

    @workflow.run
    async def run(self, mailbox: MailboxInput) -> None:
        """Serve the mailbox until there is nothing left to remember."""
        while True:
            self._changed = False
            for told in self._inbox.take():
                self._decide(told, workflow.now())
            self._work(workflow.now())
            self._show(workflow.now())
            if self._inbox:
                await workflow.sleep(_BREATH)
                await workflow.wait_condition(lambda: True)  # what else came with this task goes first
                continue
            if self._mailbox.is_done(workflow.now()) and workflow.all_handlers_finished():
                return
            if self._may_continue_as_new():
                await self._continue_as_new()
            self._set_timer(self._mailbox.next_deadline(workflow.now()))
            await workflow.wait_condition(lambda: self._changed)

    @workflow.signal(name=OPEN_OR_RESEND_SIGNAL)
    def open_or_resend(self, challenge: RawValue) -> None:
        """Take an acceptable attempt, a ``Challenge``."""
        self._take(Challenge, challenge)

    @workflow.signal(name=REFUSE_RESEND_SIGNAL)
    def refuse_resend(self, refusal: RawValue) -> None:
        """Take word of an attempt from 2 on that was not acceptable, a ``Refusal``."""
        self._take(Refusal, refusal)

    @workflow.signal(name=SUBMIT_SIGNAL)
    def submit(self, submission: RawValue) -> None:
        """Take a code that a person typed, sealed: a ``Submission``."""
        self._take(Submission, submission)

    @workflow.query(name=STATUS_QUERY)
    def status(self) -> MailboxStatus:
        """Count what is there."""
        return self._mailbox.status()

    @workflow.query(name=HAS_TAKEN_QUERY)
    def has_taken(self, signin_id: str) -> bool:
        """Tell whether the first attempt of a sign-in was handed over."""
        return self._mailbox.has_taken(signin_id) or self._inbox.holds_first_attempt(signin_id)

    @workflow.query(name=LIMITS_QUERY)
    def limits(self, query: LimitsQuery) -> LimitsReport:
        """Tell how much of each budget is spent."""
        return self._mailbox.limits(query)

    @workflow.update(name=CLEAR_LIMITS_UPDATE)
    async def clear_limits(self, clearing: Clearing) -> LimitsReport:
        """Give budgets back, tell the audit trail, and return how they stood."""
        before = self._mailbox.limits(LimitsQuery(account=clearing.account, as_of=workflow.now()))
        self._mailbox.clear(clearing, workflow.now())
        await durable_step(ClearingActivities.report_clearing_activity, clearing)
        self._changed = True
        return before

    def _take(self, kind: type[Told], raw: RawValue) -> None:
        self._inbox.put(kind, raw)
        self._signals += 1
        self._changed = True

    def _decide(self, told: Told, now: datetime) -> None:
        """Let the rules decide about a signal. An error in the rules costs this sign-in, not its mailbox."""
        try:
            self._tell(told, now)
        except Exception:
            self._give_up((told.signin_id,))

    def _give_up(self, signin_ids: tuple[str, ...]) -> None:
        """Say which error the rules made, and fail the sign-ins that it was about."""
        workflow.logger.exception("the rules failed", extra={"signin_ids": signin_ids})
        for signin_id in signin_ids:
            self._mailbox.abandon(signin_id, workflow.now())

    def _tell(self, told: Told, now: datetime) -> None:
        match told:
            case Challenge():
                self._mailbox.open_or_resend(told, workflow.info().first_execution_run_id, now)
            case Refusal():
                self._mailbox.refuse(told, now)
            case Submission():
                self._mailbox.submit(told, now)
            case never:
                assert_never(never)

    def _work(self, now: datetime) -> None:
        self._mailbox.tick(now)
        ending = self._is_full() and self._mailbox.is_small and not self._inbox
        hold_compares = ending and not self._mailbox.is_sending
        for job in self._mailbox.take_jobs(now, hold_mails=ending, hold_compares=hold_compares):
            task = asyncio.create_task(self._do(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _show(self, now: datetime) -> None:
        mailbox = self._mailbox
        if mailbox.state.policy.search_attributes:
            self._visibility.show(waiting=mailbox.is_waited_at, locked_until=mailbox.locked_until(now))

    async def _do(self, job: Job) -> None:
        try:
            await self._run(job)
        except Exception:
            self._give_up(job.signin_ids if isinstance(job, PublishResults) else (job.signin_id,))
        self._changed = True

    async def _run(self, job: Job) -> None:
        """Run a job and tell the mailbox how it ended."""
        match job:
            case IssueCode():
                await self._issue(job)
            case SendMail():
                await self._send(job)
            case CompareCode():
                await self._compare(job)
            case PublishResults():
                publish = step if job.is_settled else durable_step
                await publish(PublishingActivities.publish_result_activity, Publication(events=job.events))
                self._mailbox.published(job)
            case never:
                assert_never(never)

    async def _issue(self, job: IssueCode) -> None:
        try:
            issued = await step(OtpActivities.generate_otp_activity, job.task, within=_until(job.until))
        except FailureError:
            self._mailbox.abandon(job.signin_id, workflow.now())
        else:
            self._mailbox.code_issued(job.signin_id, issued.key_id)

    async def _send(self, job: SendMail) -> None:
        """Try a mail once. Never a local activity: it would hold up the verdicts of other sign-ins."""
        policy, asked_at = self._mailbox.state.policy, workflow.now()
        try:
            accepted = await workflow.execute_activity_method(
                DeliveryActivities.send_email_activity,
                job.task,
                task_queue=policy.mail_task_queue,
                start_to_close_timeout=timedelta(seconds=policy.times.mail_attempt_s),
                schedule_to_close_timeout=_until(job.until),
                retry_policy=RetryPolicy(maximum_attempts=1, non_retryable_error_types=_NEVER_DELIVERED),
                priority=_FIRST if job.trusted else _THEN,
            )
        except FailureError as error:
            if failure_type(error) in _NEVER_DELIVERED:
                self._mailbox.mail_refused(job.signin_id, job.attempt, workflow.now())
            else:
                self._mailbox.mail_failed(job.signin_id, job.attempt, workflow.now())
        else:
            self._mailbox.mail_accepted(job.signin_id, job.attempt, max(accepted.at, asked_at))

    async def _compare(self, job: CompareCode) -> None:
        try:
            verdict = await step(OtpActivities.verify_otp_activity, job.task, within=_until(job.until))
        except FailureError:
            self._mailbox.not_compared(job.signin_id)
        else:
            self._mailbox.compared(job.signin_id, verdict.correct, workflow.now())

    def _set_timer(self, deadline: datetime | None) -> None:
        """Keep one timer. One that fires early costs less than a new one, unless the wait is long."""
        if deadline is None:
            return
        running = self._timer is not None and not self._timer.done()
        if running and self._timer_at is not None and self._timer_at <= deadline < self._timer_at + _MUCH_LATER:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = asyncio.create_task(self._wake_in(deadline - workflow.now()))

    async def _wake_in(self, pause: timedelta) -> None:
        await workflow.sleep(pause)
        self._changed = True

    def _is_full(self) -> bool:
        return (
            self._signals >= self._mailbox.state.policy.signals_per_run
            or workflow.info().is_continue_as_new_suggested()
        )

    def _may_continue_as_new(self) -> bool:
        """Tell whether a new run may take over: a mail or a compare in flight would be done twice, or for nothing."""
        mailbox, waits = self._mailbox, bool(self._inbox)
        return self._is_full() and mailbox.is_small and not (waits or mailbox.is_sending or mailbox.is_comparing)

    async def _continue_as_new(self) -> None:
        """Hand everything to a new run. A publication that Kafka is slow to take is made again there."""
        try:
            await workflow.wait_condition(lambda: not self._tasks, timeout=_LAST_PUBLICATIONS)
        except TimeoutError:
            workflow.logger.info("continuing as new with a result on its way")
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._may_continue_as_new():
            state = self._mailbox.state
            workflow.continue_as_new(MailboxInput(policy=state.policy, carried=state))


def _until(moment: datetime) -> timedelta:
    """Return the time that is left, at least a moment: a timeout must not be zero."""
    return max(moment - workflow.now(), timedelta(milliseconds=1))
