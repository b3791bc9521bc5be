"""The gateway to a real Temporal, as integration tests use it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.client import Client

from activities.codes import CodeKeys
from activities.pseudonyms import Pseudonyms
from consumers.decode import ReceivedRequest, decode_request
from consumers.gateway.temporal import TemporalGateway
from deploy.local.servers.temporal import LocalTemporal
from schemas.policy import Policy
from tests.fakes.inbound import REQUESTED, record, request_data
from tests.faults.upstream import new_signin_id
from utils.temporal.client import connect

KEY: Final = bytes(32)
_SOON: Final = timedelta(seconds=2)


async def client(address: str, namespace: str = LocalTemporal.namespace) -> Client:
    """Connect as the worker does."""
    return await connect(
        {"key": KEY},
        environ={"TEMPORAL_ADDRESS": address, "TEMPORAL_NAMESPACE": namespace},
        retries=False,
    )


def gateway(temporal_client: Client) -> TemporalGateway:
    """Return the gateway under test, on a task queue that nobody polls."""
    return gateway_to(temporal_client, "nobody-polls")


def gateway_to(temporal_client: Client, task_queue: str) -> TemporalGateway:
    """Return a gateway to a task queue."""
    keys = CodeKeys({"key": KEY})
    return TemporalGateway(temporal_client, task_queue, Policy(), Pseudonyms(KEY), keys, _SOON)


def request(token: str = "0.abc", signin_id: str = "") -> ReceivedRequest:
    """Return a new request.

    Values that the decoder would reject are put into it afterwards.
    """
    now = datetime.now(UTC)
    data = request_data(signin_id=new_signin_id())
    content = decode_request(record(REQUESTED, data), now)
    assert isinstance(content, ReceivedRequest)
    changes = {"turnstile_token": token, "signin_id": signin_id or data["signin_id"]}
    return replace(content, event=content.event.model_copy(update=changes))
