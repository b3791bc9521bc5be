"""The next release: workflows whose commands differ from those of this one in kind and order.

Neither release can replay the other's histories.
"""

from datetime import timedelta

from temporalio import workflow

from schemas.mailbox import MailboxInput
from schemas.signals import SignInInput, SignInOutcome
from workflows.names import SIGN_IN_WORKFLOW, VERIFY_OTP_WORKFLOW
from workflows.rules.jobs import Job
from workflows.sign_in import SignInWorkflow
from workflows.verify_otp import VerifyOTPWorkflow

_PAUSE = timedelta(milliseconds=1)


@workflow.defn(name=SIGN_IN_WORKFLOW)
class NextSignInWorkflow(SignInWorkflow):
    """Waits for a moment before it ends.

    Not before it checks the request: only its first task knows whether it was done again.
    """

    @workflow.init
    def __init__(self, sign_in: SignInInput) -> None:
        super().__init__(sign_in)

    @workflow.run
    async def run(self, sign_in: SignInInput) -> SignInOutcome:
        """Check the request, and end after a pause."""
        outcome = await super().run(sign_in)
        await workflow.sleep(_PAUSE)
        return outcome


@workflow.defn(name=VERIFY_OTP_WORKFLOW)
class NextVerifyOTPWorkflow(VerifyOTPWorkflow):
    """Waits for a moment before each job."""

    @workflow.init
    def __init__(self, mailbox: MailboxInput) -> None:
        super().__init__(mailbox)

    @workflow.run
    async def run(self, mailbox: MailboxInput) -> None:
        """Serve the mailbox."""
        await super().run(mailbox)

    async def _run_job(self, job: Job) -> None:
        await workflow.sleep(_PAUSE)
        await super()._run_job(job)
