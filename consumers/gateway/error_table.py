"""What Temporal's errors mean. No other module looks at their details or their texts.

The table serves both directions: the consumer's calls, and the messages that activities
hand over to a mailbox (``utils.temporal.mailboxes``).
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from temporalio.api.enums.v1 import ResourceExhaustedCause
from temporalio.api.errordetails.v1 import (
    NamespaceNotFoundFailure,
    ResourceExhaustedFailure,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from consumers.outcomes import (
    KeyBusy,
    Misconfigured,
    NotNow,
    Rejected,
    Throttled,
    Unreachable,
)

SIGNAL_LIMIT_TEXT: Final = "limit for signal events"
MESSAGE_SIZE_TEXT: Final = "larger than max"
BUSY_WORKFLOW_TEXT: Final = "workflow is busy"
SEARCH_ATTRIBUTE_TEXT: Final = "for search attribute"

_DENIED: Final = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED)

NO_CONNECTION: Final = (RuntimeError, OSError)
"""What a client raises whose connection could not be made."""


def translate(
    error: RPCError | RuntimeError | OSError | WorkflowAlreadyStartedError,
) -> NotNow | Rejected:
    """Return what an error means for the record or message that was sent.

    The server's own text is left out, since it may quote an address.
    """
    if isinstance(error, WorkflowAlreadyStartedError):
        return KeyBusy()
    if not isinstance(error, RPCError):
        return Unreachable("no connection")

    row = next(row for row in ERROR_TABLE if error.status in row.statuses and row.applies(error))

    return row.meaning(RPCStatusCode(error.status).name)


def is_missing_workflow(error: BaseException) -> bool:
    """Tell whether Temporal knows no such workflow.

    A missing namespace is NOT_FOUND too, but a matter of settings.
    """
    is_not_found = isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND
    return is_not_found and not _is_missing_namespace(error)


def needs_operator(error: BaseException) -> bool:
    """Tell whether only an operator can help: permission is denied, or the namespace does not exist."""
    is_denied = isinstance(error, RPCError) and error.status in _DENIED
    return is_denied or _is_missing_namespace(error)


def _is_missing_namespace(error: BaseException) -> bool:
    if not isinstance(error, RPCError) or error.status is not RPCStatusCode.NOT_FOUND:
        return False

    namespace = NamespaceNotFoundFailure.DESCRIPTOR
    return any(detail.Is(namespace) for detail in error.grpc_status.details)


def _always(_: RPCError) -> bool:
    return True


def _has_text(text: str) -> Callable[[RPCError], bool]:
    return lambda error: text in error.message.lower()


def _is_busy_workflow(error: RPCError) -> bool:
    busy = ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW
    return _has_text(BUSY_WORKFLOW_TEXT)(error) or busy in _exhausted_causes(error)


def _exhausted_causes(error: RPCError) -> "list[ResourceExhaustedCause.ValueType]":
    causes = []
    for detail in error.grpc_status.details:
        failure = ResourceExhaustedFailure()
        if detail.Unpack(failure):
            causes.append(failure.cause)

    return causes


def _refused(status: str) -> Rejected:
    return Rejected("refused", f"temporal: {status}")


class Row(NamedTuple):
    """What an error means that has one of ``statuses`` and for which ``applies`` is true.

    ``meaning`` takes the name of the status.
    """

    statuses: frozenset[RPCStatusCode]
    applies: Callable[[RPCError], bool]
    meaning: Callable[[str], NotNow | Rejected]


def _on(*statuses: RPCStatusCode) -> frozenset[RPCStatusCode]:
    return frozenset(statuses)


_CODES = RPCStatusCode

ERROR_TABLE: Final = (
    # The workflow accepts the same signal once it has continued as new.
    Row(_on(_CODES.INVALID_ARGUMENT), _has_text(SIGNAL_LIMIT_TEXT), KeyBusy),
    # The namespace lacks an attribute that it had when we started, or has it with another type.
    Row(_on(_CODES.INVALID_ARGUMENT), _has_text(SEARCH_ATTRIBUTE_TEXT), Misconfigured),
    Row(_on(_CODES.INVALID_ARGUMENT), _always, _refused),
    # Temporal throttles with the same status that gRPC has for a message above 4 MB.
    Row(_on(_CODES.RESOURCE_EXHAUSTED), _has_text(MESSAGE_SIZE_TEXT), _refused),
    Row(_on(_CODES.RESOURCE_EXHAUSTED), _is_busy_workflow, KeyBusy),
    Row(_on(_CODES.RESOURCE_EXHAUSTED), _always, Throttled),
    # A start whose workflow exists raises an exception of its own. Any other error
    # concerns a workflow in transition.
    Row(_on(_CODES.ALREADY_EXISTS), _always, KeyBusy),
    # NOT_FOUND of a start can only concern the namespace. UNIMPLEMENTED: what answers is
    # not a Temporal server.
    Row(
        _on(
            _CODES.PERMISSION_DENIED,
            _CODES.UNAUTHENTICATED,
            _CODES.NOT_FOUND,
            _CODES.UNIMPLEMENTED,
        ),
        _always,
        Misconfigured,
    ),
    # The call may have been applied, so the same ids are sent again. Unknown statuses
    # belong here: nothing is lost.
    Row(frozenset(_CODES), _always, Unreachable),
)
"""The first row that fits decides."""
