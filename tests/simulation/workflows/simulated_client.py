"""Temporal's client, as the gateway and the activities call it."""

import random
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from tests.fakes.workflow_instances import from_payload, to_payload

if TYPE_CHECKING:
    from tests.simulation.workflows.temporal_model import Temporal


@dataclass
class Calls:
    """What goes wrong with calls: shares of those that do not arrive, and of those whose answer is lost."""

    lost: float = 0.0
    unanswered: float = 0.0


class SimulatedClient:
    """Fulfils what is used of ``Client``."""

    def __init__(self, rng: random.Random) -> None:
        self.calls = Calls()
        self._rng = rng
        self._temporal: Temporal | None = None

    def connect(self, temporal: "Temporal") -> None:
        """Use this model of a server."""
        self._temporal = temporal

    def as_client(self) -> Client:
        """Return itself under the type of the real client."""
        return cast(Client, self)

    async def start_workflow(self, workflow: str, arg: Any, **options: Any) -> None:
        """Start a workflow, with a signal or without one."""
        self._maybe_fail(self.calls.lost)
        temporal = self._server
        workflow_id = options["id"]
        signal = options.get("start_signal")
        run = temporal.open_run(workflow_id)

        if run is None:
            is_reuse_forbidden = options["id_reuse_policy"] is WorkflowIDReusePolicy.REJECT_DUPLICATE
            if is_reuse_forbidden and temporal.newest_run(workflow_id) is not None:
                raise WorkflowAlreadyStartedError(workflow_id, workflow)
            run = temporal.start(workflow, workflow_id, to_payload(arg), options.get("search_attributes"))
        elif signal is None:
            raise WorkflowAlreadyStartedError(workflow_id, workflow)

        if signal is not None:
            temporal.signal(run, signal, to_payload(options["start_signal_args"][0]))
        self._maybe_fail(self.calls.unanswered)

    def get_workflow_handle(self, workflow_id: str, **options: Any) -> "_Handle":
        """Return a handle of a workflow."""
        self._maybe_fail(self.calls.lost)
        return _Handle(self._server, workflow_id, options.get("result_type"))

    @property
    def _server(self) -> "Temporal":
        assert self._temporal is not None
        return self._temporal

    def _maybe_fail(self, share: float) -> None:
        if share and self._rng.random() < share:
            raise RPCError("away", RPCStatusCode.UNAVAILABLE, b"")


class _Handle:
    def __init__(self, temporal: "Temporal", workflow_id: str, kind: type[Any] | None) -> None:
        self._run = temporal.newest_run(workflow_id)
        self._kind = kind

    async def describe(self, **_: Any) -> Any:
        if self._run is None:
            raise RPCError("none", RPCStatusCode.NOT_FOUND, b"")

        is_completed = self._run.end == "complete_workflow_execution"
        ended = WorkflowExecutionStatus.COMPLETED if is_completed else WorkflowExecutionStatus.FAILED
        status = WorkflowExecutionStatus.RUNNING if self._run.is_open else ended
        return SimpleNamespace(status=status, run_id=self._run.beginning.run_id)

    async def result(self, **_: Any) -> Any:
        assert self._run is not None and self._run.result is not None and self._kind is not None
        return from_payload(self._run.result, self._kind)
