"""The mailbox workflows, as activities reach them."""

from typing import Final

from temporalio.client import (
    Client,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.common import WorkflowIDReusePolicy
from temporalio.service import RPCError

from activities.errors import (
    HandOverRefused,
    SideEffectError,
    TemporalUnavailable,
    UnknownKey,
)
from consumers.gateway.error_table import NO_CONNECTION, is_missing_workflow, translate
from consumers.outcomes import Rejected
from schemas.mailbox import MailboxInput
from schemas.policy import Policy
from schemas.signals import Challenge, Refusal
from utils.temporal.client import RPC_TIMEOUT
from utils.temporal.payload_codec import CorruptPayload
from workflows.names import (
    HAS_TAKEN_QUERY,
    MAILBOX_SUMMARY,
    OPEN_OR_RESEND_SIGNAL,
    REFUSE_RESEND_SIGNAL,
    VERIFY_OTP_WORKFLOW,
    mailbox_workflow_id,
)
from workflows.visibility import INITIAL_ATTRIBUTES

_UNANSWERED: Final = (
    *NO_CONNECTION,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    UnknownKey,
    CorruptPayload,
)


class TemporalMailboxes:
    """Fulfils ``Mailboxes``: signals a mailbox's workflow, and starts it if it does not run."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def hand_over(self, mailbox: str, message: Challenge | Refusal, policy: Policy) -> None:
        """Signal ``mailbox/<mailbox>`` with start.

        Raises ``TemporalUnavailable`` or ``HandOverRefused``.
        """
        signal = OPEN_OR_RESEND_SIGNAL if isinstance(message, Challenge) else REFUSE_RESEND_SIGNAL

        try:
            await self._client.start_workflow(
                VERIFY_OTP_WORKFLOW,
                MailboxInput(policy=policy),
                id=mailbox_workflow_id(mailbox),
                task_queue=self._task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                start_signal=signal,
                start_signal_args=[message],
                rpc_timeout=RPC_TIMEOUT,
                static_summary=MAILBOX_SUMMARY,
                search_attributes=INITIAL_ATTRIBUTES if policy.search_attributes else None,
            )
        except (RPCError, *NO_CONNECTION) as error:
            raise hand_over_error(error) from None

    async def has_taken(self, mailbox: str, signin_id: str) -> bool:
        """Tell whether attempt 1 of a sign-in was ever handed over to a mailbox.

        Raises ``TemporalUnavailable``. Temporal answers a query only after every signal
        that it acknowledged before.
        """
        handle = self._client.get_workflow_handle(mailbox_workflow_id(mailbox))

        try:
            return bool(
                await handle.query(
                    HAS_TAKEN_QUERY,
                    signin_id,
                    result_type=bool,
                    rpc_timeout=RPC_TIMEOUT,
                )
            )
        except (RPCError, *_UNANSWERED) as error:
            if is_missing_workflow(error):
                return False
            raise TemporalUnavailable from None


def hand_over_error(error: RPCError | RuntimeError | OSError) -> SideEffectError:
    """Return what an error means for a hand-over: refused for ever, or try again."""
    return HandOverRefused() if isinstance(translate(error), Rejected) else TemporalUnavailable()
