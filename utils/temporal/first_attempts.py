"""The workflows of first attempts, as activities look at them."""

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.service import RPCError

from activities.errors import TemporalUnavailable, UnknownKey
from consumers.gateway.error_table import NO_CONNECTION, is_missing_workflow
from schemas.signals import SignInOutcome
from schemas.tasks import FirstAttempt
from utils.temporal.client import RPC_TIMEOUT
from utils.temporal.payload_codec import CorruptPayload
from workflows.names import sign_in_workflow_id


class TemporalFirstAttempts:
    """Fulfils ``FirstAttempts``: looks at the workflow of attempt 1."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self, signin_id: str) -> FirstAttempt:
        """Return the state of ``signin/<signin_id>/1`` without waiting for it.

        Raises ``TemporalUnavailable``. A missing namespace is an outage: it does not
        make the sign-in unknown.
        """
        try:
            return await self._read(sign_in_workflow_id(signin_id, 1))
        except WorkflowFailureError:  # reset or terminated since it was described
            return FirstAttempt(status="closed")
        except (RPCError, *NO_CONNECTION, UnknownKey, CorruptPayload) as error:
            if is_missing_workflow(error):
                return FirstAttempt(status="unknown")
            raise TemporalUnavailable from None

    async def _read(self, workflow_id: str) -> FirstAttempt:
        described = await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
        if described.status is WorkflowExecutionStatus.RUNNING:
            return FirstAttempt(status="running")
        if described.status is not WorkflowExecutionStatus.COMPLETED:
            return FirstAttempt(status="closed")

        handle = self._client.get_workflow_handle(workflow_id, run_id=described.run_id, result_type=SignInOutcome)
        outcome = await handle.result(follow_runs=False, rpc_timeout=RPC_TIMEOUT)

        return FirstAttempt(status="closed", outcome=outcome)
