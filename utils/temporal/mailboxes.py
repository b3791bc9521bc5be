"""The mailbox workflows, as activities reach them."""

from typing import Final

from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.service import RPCError

from activities.errors import (
    HandOverRefused,
    SideEffectError,
    TemporalUnavailable,
)
from consumers.gateway.error_table import NO_CONNECTION, translate
from consumers.outcomes import Rejected
from schemas.mailbox import MailboxInput
from schemas.policy import Policy
from schemas.signals import Challenge, Refusal, Rejection
from utils.temporal.client import RPC_TIMEOUT
from workflows.names import (
    MAILBOX_SUMMARY,
    OPEN_OR_RESEND_SIGNAL,
    REFUSE_RESEND_SIGNAL,
    REJECT_SIGNAL,
    VERIFY_OTP_WORKFLOW,
    mailbox_workflow_id,
)
from workflows.timeouts import WORKFLOW_TASK_TIMEOUT
from workflows.visibility import INITIAL_ATTRIBUTES

Message = Challenge | Refusal | Rejection

_SIGNALS: Final[dict[type[Message], str]] = {
    Challenge: OPEN_OR_RESEND_SIGNAL,
    Refusal: REFUSE_RESEND_SIGNAL,
    Rejection: REJECT_SIGNAL,
}


class TemporalMailboxes:
    """Fulfils ``Mailboxes``: signals a mailbox's workflow, and starts it if it does not run."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def hand_over(self, mailbox: str, message: Message, policy: Policy) -> None:
        """Signal ``mailbox/<mailbox>`` with start.

        Raises ``TemporalUnavailable`` or ``HandOverRefused``.
        """
        try:
            await self._client.start_workflow(
                VERIFY_OTP_WORKFLOW,
                MailboxInput(policy=policy),
                id=mailbox_workflow_id(mailbox),
                task_queue=self._task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                start_signal=_SIGNALS[type(message)],
                start_signal_args=[message],
                task_timeout=WORKFLOW_TASK_TIMEOUT,
                rpc_timeout=RPC_TIMEOUT,
                static_summary=MAILBOX_SUMMARY,
                search_attributes=INITIAL_ATTRIBUTES if policy.search_attributes else None,
            )
        except (RPCError, *NO_CONNECTION) as error:
            raise hand_over_error(error) from None


def hand_over_error(error: RPCError | RuntimeError | OSError) -> SideEffectError:
    """Return what an error means for a hand-over: refused for ever, or try again."""
    return HandOverRefused() if isinstance(translate(error), Rejected) else TemporalUnavailable()
