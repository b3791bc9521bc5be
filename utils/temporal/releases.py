"""The releases of the worker's deployment: which one is current, which takes a share, which is drained.

Temporal calls a release a version of a worker deployment, and names it by its build id
(docs/adr/0028).
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final, Literal

from temporalio.api.enums.v1 import WorkerDeploymentVersionStatus
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentRampingVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.errors import TemporalUnavailable
from consumers.gateway.error_table import NO_CONNECTION
from utils.temporal.client import RPC_TIMEOUT

State = Literal["current", "ramping", "draining", "drained", "waiting"]

_IDENTITY: Final = "signin-worker release"
_STATES: Final[dict[int, State]] = {
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_CURRENT: "current",
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_RAMPING: "ramping",
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINING: "draining",
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED: "drained",
}


@dataclass(frozen=True)
class ReleaseState:
    """One release. ``share`` is the percentage of mailboxes that move to it. Waiting: it was never current."""

    build_id: str
    state: State
    share: float


class Releases:
    """The releases of one deployment. Every method raises ``TemporalUnavailable``, or ``RPCError`` for a refusal."""

    def __init__(self, client: Client, deployment: str) -> None:
        self._client = client
        self._deployment = deployment

    async def list(self) -> tuple[ReleaseState, ...]:
        """Return the known releases, the newest first; none before the first worker has polled."""
        request = DescribeWorkerDeploymentRequest(
            namespace=self._client.namespace,
            deployment_name=self._deployment,
        )

        try:
            answer = await _answered(self._client.workflow_service.describe_worker_deployment(request, **_LIMIT))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return ()
            raise

        info = answer.worker_deployment_info
        ramping = info.routing_config.ramping_version_percentage
        versions = sorted(info.version_summaries, key=lambda each: each.create_time.ToNanoseconds(), reverse=True)
        states = [(version.deployment_version.build_id, _STATES.get(version.status, "waiting")) for version in versions]

        shares = {"current": 100 - ramping, "ramping": ramping}
        return tuple(ReleaseState(build_id, state, shares.get(state, 0)) for build_id, state in states)

    async def promote(self, build_id: str) -> None:
        """Make a release current: mailboxes move to it when they next continue as new, and new ones start under it.

        The server refuses a release whose workers do not poll all the queues of the current one.
        """
        request = SetWorkerDeploymentCurrentVersionRequest(
            namespace=self._client.namespace,
            deployment_name=self._deployment,
            build_id=build_id,
            identity=_IDENTITY,
        )
        await _answered(self._client.workflow_service.set_worker_deployment_current_version(request, **_LIMIT))

    async def ramp(self, build_id: str, share: float) -> None:
        """Let a percentage of the mailboxes move to a release that is not current. With 0, they move back."""
        request = SetWorkerDeploymentRampingVersionRequest(
            namespace=self._client.namespace,
            deployment_name=self._deployment,
            build_id=build_id if share else "",
            percentage=share,
            identity=_IDENTITY,
        )
        await _answered(self._client.workflow_service.set_worker_deployment_ramping_version(request, **_LIMIT))


_LIMIT: Final[Any] = {"timeout": 2 * RPC_TIMEOUT}
"""Setting a version waits until the task queues know of it."""


async def _answered(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except NO_CONNECTION:
        raise TemporalUnavailable from None
