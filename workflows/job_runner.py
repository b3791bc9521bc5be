"""Runs the jobs of a mailbox as activities, and reports how each one ended."""

from datetime import datetime
from typing import assert_never

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import FailureError

from activities.delivery import DeliveryActivities
from activities.errors import CodeExpired, MailRefused, MailUnavailable, UnknownKey
from activities.otp import OtpActivities
from activities.publishing import PublishingActivities
from activities.reporting import UNEXPECTED
from schemas.tasks import MailAccepted, Publication
from workflows.rules.jobs import CompareCode, Job, PublishResults, SendMail
from workflows.rules.mailbox import Mailbox
from workflows.steps import failure_details, failure_type, is_timeout, run_durable_step, run_step
from workflows.timeouts import HEARTBEAT_TIMEOUT, compare_time, mail_retries, mail_timeout, time_left

_MAIL_REFUSED = MailRefused.__name__
_MAIL_ERRORS = (
    _MAIL_REFUSED,
    MailUnavailable.__name__,
    CodeExpired.__name__,
    UnknownKey.__name__,
    UNEXPECTED,
)

# These order the mails that wait for the rate of all workers. Fairness keys would share that
# rate, but a server heeds them only if it is configured to. A mail that a full run gave up has
# waited before: a flood of signals must not send it to the end of the queue again and again.
_TRUSTED_PRIORITY = Priority(priority_key=1)
_GIVEN_UP_PRIORITY = Priority(priority_key=2)
_NORMAL_PRIORITY = Priority(priority_key=3)


class JobRunner:
    """Awaits activities for one mailbox."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def run(self, job: Job) -> None:
        """Run a job and report its end."""
        match job:
            case SendMail():
                await self._send_mail(job)
            case CompareCode():
                await self._compare_code(job)
            case PublishResults():
                await self._publish_results(job)
            case never:
                assert_never(never)

    def is_pointless(self, job: Job) -> bool:
        """Tell whether a job in flight has become pointless: the mail of a sign-in that has ended."""
        return isinstance(job, SendMail) and job.signin_id not in self._mailbox.state.live

    async def _send_mail(self, job: SendMail) -> None:
        """Try a mail; the rules decide about the next try.

        Temporal tries it again only if the worker that had it is gone, which saves a workflow task.
        """
        asked_at = workflow.now()

        try:
            accepted = await self._try_mail(job)
        except FailureError as error:
            if failure_type(error) == _MAIL_REFUSED:
                at = _answered_at(_refused_at(error), asked_at, job)
                self._mailbox.on_mail_refused(job.signin_id, job.attempt, at)
            else:
                self._mailbox.on_mail_failed(job.signin_id, job.attempt, workflow.now())
        else:
            at = _answered_at(accepted.at, asked_at, job)
            self._mailbox.on_mail_accepted(job.signin_id, job.attempt, at)

    async def _try_mail(self, job: SendMail) -> MailAccepted:
        """Run the activity.

        A local activity would hold up the verdicts of other sign-ins.
        """
        policy = self._mailbox.state.policy

        return await workflow.execute_activity_method(
            DeliveryActivities.send_email_activity,
            job.task,
            task_queue=policy.mail_task_queue,
            start_to_close_timeout=mail_timeout(policy),
            schedule_to_close_timeout=time_left(job.until),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=mail_retries(_MAIL_ERRORS),
            priority=_priority(job),
        )

    async def _compare_code(self, job: CompareCode) -> None:
        """Compare a submission, until a worker says whether it is right, or that it cannot tell.

        Where no worker has the time, it is compared later: one that died may have published the verdict.
        """
        while True:
            try:
                verdict = await run_step(OtpActivities.verify_otp_activity, job.task, within=compare_time(job.until))
            except FailureError as error:
                if is_timeout(error):
                    continue
                self._mailbox.on_compare_failed(job.signin_id)
            else:
                self._mailbox.on_compared(job.signin_id, verdict.correct)
            return

    async def _publish_results(self, job: PublishResults) -> None:
        publish = run_step if job.may_be_local else run_durable_step
        publication = Publication(events=job.events)

        await publish(PublishingActivities.publish_result_activity, publication)
        self._mailbox.on_published(job)


def _priority(job: SendMail) -> Priority:
    if job.trusted:
        return _TRUSTED_PRIORITY
    return _GIVEN_UP_PRIORITY if job.was_given_up else _NORMAL_PRIORITY


def _answered_at(at: datetime, asked_at: datetime, job: SendMail) -> datetime:
    """Return when the mail server answered: by the mailing worker's clock, but while the mail was under way.

    History holds both limits before the answer, so a task that is done again decides the same.
    """
    return max(asked_at, min(at, job.until))


def _refused_at(error: FailureError) -> datetime:
    """Return when the mail server refused a mail: the activity says so."""
    (at,) = failure_details(error) or (None,)
    return workflow.now() if at is None else datetime.fromisoformat(at)
