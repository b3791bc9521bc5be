"""Errors of Temporal's server, as its client raises them."""

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from temporalio.api.common.v1 import GrpcStatus
from temporalio.service import RPCError, RPCStatusCode


def rpc_error(status: RPCStatusCode, text: str = "", *details: Message) -> RPCError:
    """Return an error with a status, a text and details."""
    packed = []
    for detail in details:
        packed.append(AnyMessage())
        packed[-1].Pack(detail)

    raw = GrpcStatus(code=status, message=text, details=packed).SerializeToString()

    return RPCError(text, status, raw)
