"""The Temporal adapters, without a server and against a real one."""

import base64
import socket
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from temporalio import activity, workflow
from temporalio.api.common.v1 import GrpcStatus
from temporalio.api.enums.v1 import EventType
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure, NotFoundFailure
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from activities.errors import HandOverRefused, TemporalUnavailable
from deploy.local.servers.backends import Temporal
from schemas.policy import Policy
from schemas.signals import Refusal
from utils.temporal.client import (
    TemporalFirstAttempts,
    TemporalMailboxes,
    TemporalSettingsError,
    connect,
    data_converter,
    hand_over_error,
    is_configuration,
    names_namespace,
    namespace_retention,
)
from utils.temporal.payload_codec import ENCODING
from utils.temporal.workers import SdkTelemetry, _free_port, build_workers
from workflows.names import mail_task_queue

SIGNIN_ID = "rJ3hQ0m1TzC9vWcK8uYbXw"
REFUSAL = Refusal(signin_id=SIGNIN_ID, attempt=2, reason="stale")
KEYS = {"k1": b"1" * 32}
NOWHERE = {"TEMPORAL_ADDRESS": "127.0.0.1:1"}


def rpc_error(status: RPCStatusCode, text: str = "", details: Sequence[AnyMessage] = ()) -> RPCError:
    """Return an answer of the server as the SDK raises it."""
    return RPCError(text, status, GrpcStatus(code=status, message=text, details=details).SerializeToString())


def detail(message: NamespaceNotFoundFailure | NotFoundFailure) -> AnyMessage:
    """Return a detail of an answer."""
    packed = AnyMessage()
    packed.Pack(message)
    return packed


@pytest.mark.parametrize("status", list(RPCStatusCode))
def test_every_status_has_a_meaning_for_a_hand_over(status: RPCStatusCode) -> None:
    """Only an argument that Temporal will never take is refused; all else is tried again."""
    wanted = HandOverRefused if status is RPCStatusCode.INVALID_ARGUMENT else TemporalUnavailable
    assert type(hand_over_error(rpc_error(status, "some text"))) is wanted


@pytest.mark.parametrize(
    ("status", "text", "wanted"),
    [
        (
            RPCStatusCode.RESOURCE_EXHAUSTED,
            "grpc: received message larger than max (4194305 vs. 4194304)",
            HandOverRefused,
        ),
        (RPCStatusCode.RESOURCE_EXHAUSTED, "Workflow is busy.", TemporalUnavailable),
        (RPCStatusCode.INVALID_ARGUMENT, "Blob data size exceeds limit.", HandOverRefused),
        (RPCStatusCode.INVALID_ARGUMENT, "exceeded workflow execution limit for signal events", TemporalUnavailable),
    ],
)
def test_two_statuses_mean_two_things_each(status: RPCStatusCode, text: str, wanted: type[Exception]) -> None:
    """Then the text decides."""
    assert type(hand_over_error(rpc_error(status, text))) is wanted


def test_a_missing_namespace_is_told_from_a_missing_workflow() -> None:
    """Both are NOT_FOUND; only the first is for a person to mend."""
    namespace = rpc_error(RPCStatusCode.NOT_FOUND, "x", [detail(NamespaceNotFoundFailure(namespace="x"))])
    missing = rpc_error(RPCStatusCode.NOT_FOUND, "x", [detail(NotFoundFailure())])
    assert (names_namespace(namespace), names_namespace(missing)) == (True, False)
    assert (is_configuration(namespace), is_configuration(missing)) == (True, False)
    assert is_configuration(rpc_error(RPCStatusCode.PERMISSION_DENIED))
    assert is_configuration(rpc_error(RPCStatusCode.UNAUTHENTICATED))
    assert not is_configuration(rpc_error(RPCStatusCode.UNAVAILABLE))


@pytest.mark.parametrize(
    "environ",
    [
        {"TEMPORAL_PROFILE": "there-is-none"},
        {"TEMPORAL_ADDRESS": "not an address::"},
        {"TEMPORAL_TLS_CLIENT_CERT_PATH": "/nowhere.pem"},
    ],
)
async def test_settings_that_cannot_be_used_are_one_kind_of_error(environ: dict[str, str]) -> None:
    """The command ends with 78 then, whatever the SDK raised."""
    with pytest.raises(TemporalSettingsError):
        await connect(KEYS, environ=environ)


async def test_a_server_that_is_down_is_unavailable() -> None:
    """To connect, and every call of a client that connects later."""
    with pytest.raises(TemporalUnavailable):
        await connect(KEYS, environ=NOWHERE)

    client = await connect(KEYS, environ=NOWHERE, lazy=True)

    with pytest.raises(TemporalUnavailable):
        await namespace_retention(client)

    with pytest.raises(TemporalUnavailable):
        await TemporalMailboxes(client, "queue").hand_over("m", REFUSAL, Policy())

    with pytest.raises(TemporalUnavailable):
        await TemporalFirstAttempts(client).read(SIGNIN_ID)


async def test_without_settings_the_local_server_is_meant() -> None:
    """As with Temporal's own command."""
    client = await connect(KEYS, environ={"TEMPORAL_CONFIG_FILE": "/nowhere.toml"}, lazy=True)
    assert client.service_client.config.target_host == "localhost:7233"
    assert client.namespace == "default"


async def client_of(temporal: Temporal, keys: dict[str, bytes] = KEYS, **variables: str) -> Client:
    """Return a client of the real server."""
    return await connect(keys, environ={"TEMPORAL_ADDRESS": temporal.address, **variables})


async def test_the_namespace_says_how_long_it_remembers(temporal: Temporal) -> None:
    """A day, on the dev server."""
    assert await namespace_retention(await client_of(temporal)) >= timedelta(hours=24)


async def test_a_namespace_that_is_missing_is_not_an_unknown_sign_in(temporal: Temporal) -> None:
    """Nothing may be decided on it; and the look-up of its retention says so."""
    client = await client_of(temporal, TEMPORAL_NAMESPACE="there-is-none")
    with pytest.raises(TemporalUnavailable):
        await TemporalFirstAttempts(client).read(SIGNIN_ID)
    with pytest.raises(TemporalUnavailable):
        await TemporalMailboxes(client, "queue").hand_over("m", REFUSAL, Policy())
    with pytest.raises(RPCError):
        await namespace_retention(client)


async def test_what_temporal_never_takes_is_refused(temporal: Temporal) -> None:
    """A workflow id of more than 1,000 characters."""
    with pytest.raises(HandOverRefused):
        await TemporalMailboxes(await client_of(temporal), "queue").hand_over("m" * 1_001, REFUSAL, Policy())


@activity.defn(name="refuse_activity")
async def refuse_activity(address: str) -> None:
    """Fail with a text that no history may show."""
    raise ApplicationError(f"{address} is refused", non_retryable=True)


@activity.defn(name="send_email_activity")
async def send_email_activity(address: str) -> str:
    """Return where it ran."""
    return activity.info().task_queue


@workflow.defn(name="sample_workflow", sandboxed=False)
class SampleWorkflow:
    """Runs both."""

    @workflow.run
    async def run(self, address: str, mail_queue: str) -> str:
        """Send a mail by its queue, then fail."""
        timeout = timedelta(seconds=10)
        queue = await workflow.execute_activity(
            send_email_activity, address, task_queue=mail_queue, start_to_close_timeout=timeout
        )
        await workflow.execute_activity(refuse_activity, address, start_to_close_timeout=timeout)
        return queue


def workers(client: Client, queue: str) -> list[Worker]:
    """Return workers for the sample."""
    return build_workers(
        client,
        task_queue=queue,
        request_workflow=SampleWorkflow,
        mailbox_workflow=SampleWorkflow,
        activities=[refuse_activity],
        mail_activity=send_email_activity,
        mails_per_second=50,
        graceful_s=1,
    )


async def test_workers_share_the_work_and_histories_show_nothing(temporal: Temporal) -> None:
    """Mail runs on its own queue; inputs, results and failures are encrypted; the SDK's metrics can be read."""
    telemetry = SdkTelemetry()
    client = await connect(KEYS, environ={"TEMPORAL_ADDRESS": temporal.address}, runtime=telemetry.runtime)
    queue = f"queue-{uuid.uuid4().hex}"
    requests, _, mail = workers(client, queue)

    async with requests, mail:
        handle = await client.start_workflow(
            "sample_workflow", args=["ada@example.com", mail_task_queue(queue)], id=queue, task_queue=queue
        )
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()

    assert "ada@example.com is refused" in str(failed.value.cause.__cause__)

    history = await handle.fetch_history()
    kinds = [event.event_type for event in history.events]

    assert EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED in kinds
    assert "ada@" not in history.to_json()
    assert base64.b64encode(b'"ada@example')[:12].decode() not in history.to_json()
    assert (
        history.events[0].workflow_execution_started_event_attributes.input.payloads[0].metadata["encoding"] == ENCODING
    )
    assert b"temporal_request_total" in telemetry.metrics()


async def test_a_worker_without_the_key_loses_nothing(temporal: Temporal) -> None:
    """The task is tried again until a worker with the key takes it: a rotation in the wrong order heals."""
    queue = f"queue-{uuid.uuid4().hex}"
    newer = await client_of(temporal, {"k2": b"2" * 32} | KEYS)
    handle = await newer.start_workflow(
        "sample_workflow",
        args=["ada@example.com", mail_task_queue(queue)],
        id=queue,
        task_queue=queue,
        task_timeout=timedelta(seconds=1),
    )
    requests, _, mail = workers(await client_of(temporal), queue)
    async with requests, mail:
        while not await task_failed(newer, queue):
            pass

    requests, _, mail = workers(newer, queue)
    async with requests, mail:
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()

    assert "is refused" in str(failed.value.cause.__cause__)


async def task_failed(client: Client, workflow_id: str) -> bool:
    """Tell whether a workflow task has failed so far."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    return any(event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED for event in history.events)


def test_metrics_that_cannot_be_read_are_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own metrics are shown all the same."""
    telemetry = SdkTelemetry()
    monkeypatch.setattr(telemetry, "_port", 1)
    assert telemetry.metrics() == b""


@pytest.fixture
def taken() -> Iterator[int]:
    """Give a port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_is_taken_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """Another process may be quicker."""
    ports = iter([taken, taken])
    monkeypatch.setattr("utils.temporal.workers._free_port", lambda: next(ports, None) or _free_port())
    assert b"# EOF" not in SdkTelemetry().metrics()
    assert next(ports, None) is None


def test_without_any_free_port_it_gives_up(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """It does not look for ever."""
    monkeypatch.setattr("utils.temporal.workers._free_port", lambda: taken)
    with pytest.raises(ValueError, match="in use"):
        SdkTelemetry()


def test_payload_keys_are_needed() -> None:
    """There is no way to build a converter that stores text in clear."""
    with pytest.raises(ValueError, match="needs a key"):
        data_converter({})
