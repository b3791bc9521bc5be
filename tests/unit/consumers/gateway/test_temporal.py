"""The calls that the gateway makes to Temporal."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCStatusCode

from activities.addresses import parse_address
from activities.codes import CodeKeys
from activities.pseudonyms import Pseudonyms
from consumers.decode import (
    ReceivedRequest,
    ReceivedSubmission,
    decode_request,
    decode_submission,
)
from consumers.gateway.temporal import TemporalGateway
from consumers.outcomes import Applied, Duplicate, KeyBusy, Rejected, Unreachable
from schemas.mailbox import MailboxInput
from schemas.policy import OtpPolicy, Policy
from schemas.signals import SignInInput, Submission
from tests.fakes.inbound import request_record, signin_id, submission_record
from tests.fakes.rpc_errors import rpc_error
from tests.fakes.temporal_client import FakeTemporalClient
from workflows.timeouts import WORKFLOW_TASK_TIMEOUT

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
KEYS = CodeKeys({"new": bytes(32)})
PSEUDONYMS = Pseudonyms(bytes(range(32)))
POLICY = Policy(otp=OtpPolicy(digits=6))
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def gateway(client: FakeTemporalClient) -> TemporalGateway:
    """Return the gateway under test."""
    return TemporalGateway(client.as_client(), "signin", POLICY, PSEUDONYMS, KEYS, timedelta(seconds=3))


def request(attempt: int = 1) -> ReceivedRequest:
    """Return a request as decoded."""
    record = request_record(7, attempt=attempt, headers=[("traceparent", PARENT.encode())])
    content = decode_request(record, NOW)
    assert isinstance(content, ReceivedRequest)
    return content


def submission() -> ReceivedSubmission:
    """Return a submission as decoded."""
    content = decode_submission(submission_record(7), NOW)
    assert isinstance(content, ReceivedSubmission)
    return content


async def test_a_request_starts_its_workflow_once() -> None:
    """The workflow's id is made of sign-in and attempt, and no id is ever used twice."""
    client = FakeTemporalClient()

    assert await gateway(client).start(request(attempt=2)) == Applied()

    [(workflow, argument, options)] = client.calls

    assert workflow == "sign_in_workflow"
    assert argument == SignInInput(
        request=request(attempt=2).event.model_copy(update={"requested_at": argument.request.requested_at}),
        born_at=argument.born_at,
        traceparent=PARENT,
        policy=POLICY,
    )
    assert options["id"] == f"signin/{signin_id(7)}/2"
    assert options["id_reuse_policy"] is WorkflowIDReusePolicy.REJECT_DUPLICATE
    assert options["task_queue"] == "signin"
    assert options["rpc_timeout"] == timedelta(seconds=3)
    assert options["request_eager_start"]


async def test_no_run_has_a_timeout() -> None:
    """The server would end a request that waits for Kafka, and its result with it."""
    client = FakeTemporalClient()
    await gateway(client).start(request())
    await gateway(client).submit(submission())

    for _, _, options in client.calls:
        assert not {"run_timeout", "execution_timeout"} & set(options)


async def test_a_dead_workers_workflow_tasks_time_out_soon() -> None:
    """Another worker then takes them over."""
    client = FakeTemporalClient()
    await gateway(client).start(request())
    await gateway(client).submit(submission())

    assert [options["task_timeout"] for _, _, options in client.calls] == [WORKFLOW_TASK_TIMEOUT] * 2


async def test_a_request_known_to_temporal_is_a_duplicate() -> None:
    """It makes no difference whether that workflow is running or closed."""
    client = FakeTemporalClient()
    client.error = WorkflowAlreadyStartedError("id", "type")
    assert await gateway(client).start(request()) == Duplicate()


async def test_a_submission_is_signalled_to_its_mailbox_with_start() -> None:
    """The call contains pseudonyms and a seal instead of the address and the code."""
    client = FakeTemporalClient()

    assert await gateway(client).submit(submission()) == Applied()

    [(workflow, argument, options)] = client.calls
    address = parse_address("ada@example.com")

    assert address is not None
    assert workflow == "verify_otp_workflow"
    assert argument == MailboxInput(policy=POLICY)
    assert options["id"] == f"mailbox/{PSEUDONYMS.mailbox(address)}"
    assert options["id_reuse_policy"] is WorkflowIDReusePolicy.ALLOW_DUPLICATE
    assert options["start_signal"] == "submit"

    [signal] = options["start_signal_args"]

    assert isinstance(signal, Submission)
    assert signal.account == PSEUDONYMS.account(address)
    assert signal.read_at == NOW
    assert KEYS.matches(signal.seal, signal.key_id, signin_id(7), "12345678")

    sent = json.dumps([signal.model_dump(mode="json"), str(options), argument.model_dump(mode="json")])

    assert "ada" not in sent
    assert "1234" not in sent


async def test_a_mailbox_that_is_being_started_is_busy() -> None:
    """So the same signal is sent again."""
    client = FakeTemporalClient()
    client.error = WorkflowAlreadyStartedError("id", "type")
    with pytest.raises(KeyBusy):
        await gateway(client).submit(submission())


async def test_errors_are_translated() -> None:
    """A refusal is returned as an outcome, any other error is raised.

    The server's own text is left out.
    """
    client = FakeTemporalClient()
    client.error = rpc_error(RPCStatusCode.INVALID_ARGUMENT, "blob of ada@example.com too large")
    assert await gateway(client).start(request()) == Rejected("refused", "temporal: INVALID_ARGUMENT")


@pytest.mark.parametrize("error", [RuntimeError, OSError, ConnectionResetError])
async def test_a_connection_that_fails_is_unreachable(error: type[Exception]) -> None:
    """The call is repeated, and the error's text, which may quote an address, is left out."""
    client = FakeTemporalClient()
    client.error = error("failed to connect to ada@example.com")

    with pytest.raises(Unreachable, match="^no connection$") as caught:
        await gateway(client).submit(submission())

    assert caught.value.__context__ is None


async def test_a_bug_is_not_translated() -> None:
    """It is raised as it is."""
    client = FakeTemporalClient()
    client.error = TypeError("a bug")
    with pytest.raises(TypeError):
        await gateway(client).start(request())
