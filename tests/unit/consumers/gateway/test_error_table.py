"""The table of Temporal's errors."""

import pytest
from temporalio.api.enums.v1 import ResourceExhaustedCause
from temporalio.api.errordetails.v1 import (
    NamespaceNotFoundFailure,
    NotFoundFailure,
    ResourceExhaustedFailure,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from consumers.gateway.error_table import (
    is_missing_workflow,
    needs_operator,
    translate,
)
from consumers.outcomes import (
    KeyBusy,
    Misconfigured,
    NotNow,
    Rejected,
    Throttled,
    Unreachable,
)
from tests.fakes.rpc_errors import rpc_error

BUSY = ResourceExhaustedFailure(cause=ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW)
TOO_MANY = ResourceExhaustedFailure(cause=ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT)
MISSING_NAMESPACE = rpc_error(RPCStatusCode.NOT_FOUND, "x", NamespaceNotFoundFailure(namespace="x"))
MISSING_WORKFLOW = rpc_error(RPCStatusCode.NOT_FOUND, "x", NotFoundFailure())

BY_STATUS: dict[RPCStatusCode, type[NotNow] | type[Rejected]] = {
    RPCStatusCode.OK: Unreachable,
    RPCStatusCode.CANCELLED: Unreachable,
    RPCStatusCode.UNKNOWN: Unreachable,
    RPCStatusCode.INVALID_ARGUMENT: Rejected,
    RPCStatusCode.DEADLINE_EXCEEDED: Unreachable,
    RPCStatusCode.NOT_FOUND: Misconfigured,
    RPCStatusCode.ALREADY_EXISTS: KeyBusy,
    RPCStatusCode.PERMISSION_DENIED: Misconfigured,
    RPCStatusCode.RESOURCE_EXHAUSTED: Throttled,
    RPCStatusCode.FAILED_PRECONDITION: Unreachable,
    RPCStatusCode.ABORTED: Unreachable,
    RPCStatusCode.OUT_OF_RANGE: Unreachable,
    RPCStatusCode.UNIMPLEMENTED: Misconfigured,
    RPCStatusCode.INTERNAL: Unreachable,
    RPCStatusCode.UNAVAILABLE: Unreachable,
    RPCStatusCode.DATA_LOSS: Unreachable,
    RPCStatusCode.UNAUTHENTICATED: Misconfigured,
}


@pytest.mark.parametrize("status", RPCStatusCode)
def test_every_status_has_a_meaning(status: RPCStatusCode) -> None:
    """A status that a later client introduces fails this test until somebody decides what it means."""
    assert type(translate(rpc_error(status, "a text"))) is BY_STATUS[status]


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (
            rpc_error(
                RPCStatusCode.INVALID_ARGUMENT,
                "exceeded workflow execution limit for signal events",
            ),
            KeyBusy,
        ),
        (
            rpc_error(RPCStatusCode.INVALID_ARGUMENT, "invalid value for search attribute SigninState of type Int"),
            Misconfigured,
        ),
        (
            rpc_error(RPCStatusCode.INVALID_ARGUMENT, "Blob data size exceeds limit."),
            Rejected,
        ),
        (
            rpc_error(
                RPCStatusCode.RESOURCE_EXHAUSTED,
                "grpc: received message larger than max (5 vs. 4)",
            ),
            Rejected,
        ),
        (rpc_error(RPCStatusCode.RESOURCE_EXHAUSTED, "Workflow is busy."), KeyBusy),
        (rpc_error(RPCStatusCode.RESOURCE_EXHAUSTED, "", BUSY), KeyBusy),
        (
            rpc_error(RPCStatusCode.RESOURCE_EXHAUSTED, "", NotFoundFailure(), TOO_MANY),
            Throttled,
        ),
        (rpc_error(RPCStatusCode.CANCELLED, "Timeout expired"), Unreachable),
    ],
)
def test_a_detail_or_the_text_decides_between_two_meanings_of_a_status(error: RPCError, meaning: type) -> None:
    """The status alone does not tell a busy workflow from a busy server, or a large message from too many calls."""
    assert type(translate(error)) is meaning


def test_errors_that_are_not_grpc_errors_have_a_meaning() -> None:
    """A connection that could not be made raises a plain error, and a start of an existing workflow one of its own."""
    assert type(translate(RuntimeError("no route"))) is Unreachable
    assert type(translate(OSError("no route"))) is Unreachable
    assert type(translate(WorkflowAlreadyStartedError("id", "type"))) is KeyBusy


def test_a_missing_namespace_is_not_a_missing_workflow() -> None:
    """Both are NOT_FOUND, but only the namespace is an operator's task."""
    assert is_missing_workflow(MISSING_WORKFLOW)
    assert not is_missing_workflow(MISSING_NAMESPACE)
    assert not is_missing_workflow(rpc_error(RPCStatusCode.UNAVAILABLE))
    assert not is_missing_workflow(RuntimeError())


def test_permissions_and_the_namespace_need_an_operator() -> None:
    """Waiting helps against everything else."""
    assert needs_operator(rpc_error(RPCStatusCode.PERMISSION_DENIED))
    assert needs_operator(rpc_error(RPCStatusCode.UNAUTHENTICATED))
    assert needs_operator(MISSING_NAMESPACE)
    assert not needs_operator(MISSING_WORKFLOW)
    assert not needs_operator(rpc_error(RPCStatusCode.UNAVAILABLE))
    assert not needs_operator(RuntimeError())
