"""Temporal as the consumer's gateway.

Its errors leave as what they mean (``consumers.gateway.error_table``).
"""

from collections.abc import Awaitable
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from activities.codes import CodeKeys
from activities.pseudonyms import Pseudonyms
from consumers.decode import ReceivedRequest, ReceivedSubmission
from consumers.gateway.error_table import NO_CONNECTION, translate
from consumers.outcomes import Applied, Duplicate, Outcome, Rejected
from schemas.mailbox import MailboxInput
from schemas.policy import Policy
from schemas.signals import SignInInput, Submission
from workflows.names import (
    MAILBOX_SUMMARY,
    SIGN_IN_WORKFLOW,
    SUBMIT_SIGNAL,
    VERIFY_OTP_WORKFLOW,
    mailbox_task_queue,
    mailbox_workflow_id,
    sign_in_workflow_id,
)
from workflows.timeouts import WORKFLOW_TASK_TIMEOUT


class TemporalGateway:
    """Starts and signals the workflows.

    Every call is idempotent: repeating a delivery changes nothing.
    """

    def __init__(
        self,
        client: Client,
        task_queue: str,
        policy: Policy,
        pseudonyms: Pseudonyms,
        code_keys: CodeKeys,
        rpc_timeout: timedelta = timedelta(seconds=5),
    ) -> None:
        self._client = client
        self._task_queue = task_queue
        self._policy = policy
        self._pseudonyms = pseudonyms
        self._code_keys = code_keys
        self._rpc_timeout = rpc_timeout

    async def start(self, request: ReceivedRequest) -> Outcome:
        """Start the request's workflow.

        It is a duplicate if its id was ever used. Raises ``NotNow``.
        """
        return await _translated(self._start(request))

    async def submit(self, submission: ReceivedSubmission) -> Outcome:
        """Signal the mailbox's workflow, which remembers submission ids; start it if needed.

        Raises ``NotNow``.
        """
        return await _translated(self._submit(submission))

    async def _start(self, request: ReceivedRequest) -> Outcome:
        """Start the workflow eagerly: a worker of this process that has a free slot gets the first task at once.

        Its run has no timeout. It ends within two minutes, unless Kafka does not take its result:
        then it must keep trying, however long that is.
        """
        event = request.event
        sign_in = SignInInput(
            request=event,
            born_at=request.born_at,
            traceparent=request.traceparent,
            policy=self._policy,
        )

        try:
            await self._client.start_workflow(
                SIGN_IN_WORKFLOW,
                sign_in,
                id=sign_in_workflow_id(event.signin_id, event.attempt),
                task_queue=self._task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                task_timeout=WORKFLOW_TASK_TIMEOUT,
                rpc_timeout=self._rpc_timeout,
                request_eager_start=True,
                static_summary=f"attempt {event.attempt}",
            )
        except WorkflowAlreadyStartedError:
            return Duplicate()

        return Applied()

    async def _submit(self, submission: ReceivedSubmission) -> Outcome:
        """Signal with start.

        The run has no timeout: a mailbox ends by itself once it has nothing to
        remember.
        """
        mailbox = self._pseudonyms.mailbox(submission.address)

        await self._client.start_workflow(
            VERIFY_OTP_WORKFLOW,
            MailboxInput(policy=self._policy),
            id=mailbox_workflow_id(mailbox),
            task_queue=mailbox_task_queue(self._task_queue),
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            start_signal=SUBMIT_SIGNAL,
            start_signal_args=[self._sealed(submission)],
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            rpc_timeout=self._rpc_timeout,
            static_summary=MAILBOX_SUMMARY,
        )

        return Applied()

    def _sealed(self, submission: ReceivedSubmission) -> Submission:
        """Build the signal.

        The plaintext code goes no further: only its seal enters Temporal.
        """
        event = submission.event
        key_id, seal = self._code_keys.seal(event.signin_id, event.code)

        return Submission(
            signin_id=event.signin_id,
            submission_id=event.submission_id,
            account=self._pseudonyms.account(submission.address),
            seal=seal,
            key_id=key_id,
            submitted_at=event.submitted_at,
            read_at=submission.read_at,
            traceparent=submission.traceparent,
        )


async def _translated(call: Awaitable[Outcome]) -> Outcome:
    try:
        return await call
    except (RPCError, *NO_CONNECTION, WorkflowAlreadyStartedError) as error:
        meaning = translate(error)

    if isinstance(meaning, Rejected):
        return meaning
    raise meaning
