"""The budgets of a mailbox, read from its workflow and cleared by it."""

from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.client import Client, WorkflowQueryFailedError, WorkflowQueryRejectedError
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import QueryRejectCondition
from temporalio.service import RPCError

from activities.errors import TemporalUnavailable
from schemas.limits import Clearing, LimitsQuery, LimitsReport
from consumers.gateway.error_table import NO_CONNECTION, is_missing_workflow
from workflows.names import CLEAR_LIMITS_UPDATE, LIMITS_QUERY, mailbox_workflow_id

_TIMEOUT: Final = timedelta(seconds=10)
_UNANSWERED: Final = (
    *NO_CONNECTION,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)


class TemporalLimits:
    """Fulfils ``Limits``: queries and updates the workflows of mailboxes."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def show(self, mailbox: str, account: str) -> LimitsReport | None:
        """Return what is spent; None if the mailbox has no workflow.

        Raises ``TemporalUnavailable``, also if no worker answers.
        """
        query = LimitsQuery(account=account, as_of=datetime.now(UTC))
        handle = self._client.get_workflow_handle(mailbox_workflow_id(mailbox))

        try:
            report: LimitsReport = await handle.query(
                LIMITS_QUERY,
                query,
                result_type=LimitsReport,
                reject_condition=QueryRejectCondition.NOT_OPEN,
                rpc_timeout=_TIMEOUT,
            )
        except WorkflowQueryRejectedError:
            return None
        except (RPCError, *_UNANSWERED) as error:
            if is_missing_workflow(error):
                return None
            raise TemporalUnavailable from None

        return report

    async def clear(self, mailbox: str, clearing: Clearing) -> LimitsReport | None:
        """Clear budgets; return what was spent, None if the mailbox has no workflow. Raises as ``show``."""
        handle = self._client.get_workflow_handle(mailbox_workflow_id(mailbox))

        try:
            before: LimitsReport = await handle.execute_update(
                CLEAR_LIMITS_UPDATE, clearing, result_type=LimitsReport, rpc_timeout=_TIMEOUT
            )
        except (RPCError, *_UNANSWERED) as error:
            if is_missing_workflow(error):
                return None
            raise TemporalUnavailable from None

        return before
