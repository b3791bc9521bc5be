"""Handing over to mailboxes, without a server and against a real one."""

from datetime import UTC, datetime

import pytest
from temporalio.service import RPCStatusCode

from activities.errors import HandOverRefused, TemporalUnavailable
from deploy.local.servers.backends import Temporal
from schemas.policy import Policy
from schemas.signals import Refusal
from tests.fakes.rpc_errors import rpc_error
from utils.temporal.client import connect
from utils.temporal.first_attempts import TemporalFirstAttempts
from utils.temporal.mailboxes import TemporalMailboxes, hand_over_error

SIGNIN_ID = "rJ3hQ0m1TzC9vWcK8uYbXw"
REFUSAL = Refusal(signin_id=SIGNIN_ID, attempt=2, reason="stale", decided_at=datetime.now(UTC))
KEYS = {"k1": b"1" * 32}


@pytest.mark.parametrize("status", RPCStatusCode)
def test_a_hand_over_is_refused_only_for_an_invalid_argument(
    status: RPCStatusCode,
) -> None:
    """Every other status is tried again."""
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
        (
            RPCStatusCode.INVALID_ARGUMENT,
            "Blob data size exceeds limit.",
            HandOverRefused,
        ),
        (
            RPCStatusCode.INVALID_ARGUMENT,
            "exceeded workflow execution limit for signal events",
            TemporalUnavailable,
        ),
        (
            RPCStatusCode.INVALID_ARGUMENT,
            "Namespace default has no mapping defined for search attribute SigninState",
            TemporalUnavailable,
        ),
    ],
)
def test_the_text_decides_between_two_meanings_of_a_status(
    status: RPCStatusCode, text: str, wanted: type[Exception]
) -> None:
    """A message that is too large is refused; a mailbox that is full of signals takes it later.

    So does a namespace whose search attributes are gone, once an operator has created them again.
    """
    assert type(hand_over_error(rpc_error(status, text))) is wanted


async def test_a_server_that_is_down_is_unavailable() -> None:
    """A lazy client fails with its first call, and that is an outage too."""
    client = await connect(KEYS, environ={"TEMPORAL_ADDRESS": "127.0.0.1:1"}, lazy=True)

    with pytest.raises(TemporalUnavailable):
        await TemporalMailboxes(client, "queue").hand_over("m", REFUSAL, Policy())

    with pytest.raises(TemporalUnavailable):
        await TemporalFirstAttempts(client).read(SIGNIN_ID)


async def test_a_missing_namespace_does_not_make_a_sign_in_unknown(
    temporal: Temporal,
) -> None:
    """Nothing may be decided on it: the calls are tried again."""
    variables = {
        "TEMPORAL_ADDRESS": temporal.address,
        "TEMPORAL_NAMESPACE": "there-is-none",
    }
    client = await connect(KEYS, environ=variables)

    with pytest.raises(TemporalUnavailable):
        await TemporalFirstAttempts(client).read(SIGNIN_ID)

    with pytest.raises(TemporalUnavailable):
        await TemporalMailboxes(client, "queue").hand_over("m", REFUSAL, Policy())


async def test_a_workflow_id_above_1000_characters_is_refused(
    temporal: Temporal,
) -> None:
    """Temporal will never take it."""
    client = await connect(KEYS, environ={"TEMPORAL_ADDRESS": temporal.address})

    with pytest.raises(HandOverRefused):
        await TemporalMailboxes(client, "queue").hand_over("m" * 1_001, REFUSAL, Policy())
