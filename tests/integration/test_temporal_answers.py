"""The error table against a real server, wherever the server can be made to raise the error."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from activities.errors import TemporalUnavailable
from activities.pseudonyms import Pseudonyms
from consumers.decode import (
    ReceivedRequest,
    ReceivedSubmission,
    decode_submission,
)
from consumers.gateway.temporal import TemporalGateway
from consumers.outcomes import (
    Applied,
    Duplicate,
    KeyBusy,
    Misconfigured,
    Outcome,
    Rejected,
    Unreachable,
)
from deploy.local.servers.backends import Temporal
from deploy.local.servers.temporal import LocalTemporal
from deploy.local.waiting import eventually
from schemas.policy import Policy
from schemas.signals import Refusal
from tests.fakes.inbound import (
    SUBMITTED,
    record,
    submission_data,
)
from tests.faults.upstream import new_signin_id
from tests.integration.gateway_bench import KEY, client, gateway, request
from utils.temporal.client import connect
from utils.temporal.mailboxes import TemporalMailboxes
from utils.temporal.namespace import create_namespace

_LARGE_BLOB: Final = 2_100_000
_LARGE_MESSAGE: Final = 4_500_000
_FEW_SIGNALS: Final = 5


def submission(number: int) -> ReceivedSubmission:
    """Return a submission to the only mailbox of this server."""
    content = decode_submission(record(SUBMITTED, submission_data(number)), datetime.now(UTC))
    assert isinstance(content, ReceivedSubmission)
    return content


async def test_the_same_request_again_is_a_duplicate(temporal: Temporal) -> None:
    """OK means applied, ALREADY_EXISTS a duplicate."""
    tested = gateway(await client(temporal.address))
    new_request = request()

    assert [await tested.start(new_request), await tested.start(new_request)] == [
        Applied(),
        Duplicate(),
    ]


@pytest.mark.parametrize(
    "new_request",
    [
        request(token="x" * _LARGE_BLOB),
        request(token="x" * _LARGE_MESSAGE),
        request(signin_id="x" * 1_001),
    ],
    ids=["a blob of 2.1 MB", "a message of 4.5 MB", "an id above 1,000 characters"],
)
async def test_what_temporal_will_never_take_is_rejected(temporal: Temporal, new_request: ReceivedRequest) -> None:
    """A blob of 2.1 MB, a message of 4.5 MB and an id above 1,000 characters become dead letters."""
    outcome = await gateway(await client(temporal.address)).start(new_request)
    assert isinstance(outcome, Rejected)
    assert outcome.error == "refused"


async def test_a_missing_namespace_is_misconfigured(temporal: Temporal) -> None:
    """Consumption stops, and nothing is dead-lettered."""
    tested = gateway(await client(temporal.address, "nowhere"))
    with pytest.raises(Misconfigured):
        await tested.start(request())
    with pytest.raises(Misconfigured):
        await tested.submit(submission(1))


async def test_a_mailbox_that_is_full_of_signals_is_busy(
    own_server: LocalTemporal,
) -> None:
    """Its next run takes the same signal, so other mailboxes go on.

    The limit is lowered from 10,000 here.
    """
    own_server.process.kill()
    own_server.start_again({"history.maximumSignalsPerExecution": str(_FEW_SIGNALS)})
    whole = await client(own_server.address)
    tested = gateway(whole)
    for number in range(_FEW_SIGNALS):
        assert await tested.submit(submission(number)) == Applied()

    with pytest.raises(KeyBusy):
        await tested.submit(submission(_FEW_SIGNALS))

    mailbox = Pseudonyms(KEY).mailbox(submission(0).address)
    refusal = Refusal(signin_id=new_signin_id(), attempt=2, reason="stale", decided_at=datetime.now(UTC))

    with pytest.raises(TemporalUnavailable):
        await TemporalMailboxes(whole, "nobody-polls").hand_over(mailbox, refusal, Policy())


async def test_a_namespace_without_its_search_attributes_takes_requests_later(own_server: LocalTemporal) -> None:
    """A database that was lost comes back empty, under workers that have seen the attributes. No request is lost by it.

    The server checks attributes where a mailbox is started; requests have none.
    """
    whole = await client(own_server.address)
    mailboxes = TemporalMailboxes(whole, "nobody-polls")
    refusal = Refusal(signin_id=new_signin_id(), attempt=2, reason="stale", decided_at=datetime.now(UTC))
    policy = Policy(search_attributes=True)

    with pytest.raises(TemporalUnavailable):
        await mailboxes.hand_over("m", refusal, policy)

    await create_namespace(whole, timedelta(days=1))

    async def is_taken() -> bool:
        try:
            await mailboxes.hand_over("m", refusal, policy)
        except TemporalUnavailable:
            return False
        return True

    await eventually(is_taken, "the mailbox is started", within_s=30)


async def test_a_frozen_server_is_unreachable(own_server: LocalTemporal) -> None:
    """The call ends within its own limit, not the SDK's 30 s.

    Once thawed, the server has the request once.
    """
    tested = gateway(await client(own_server.address))
    new_request = request()
    own_server.process.signal(signal.SIGSTOP)
    async with asyncio.timeout(20):
        with pytest.raises(Unreachable):
            await tested.start(new_request)

    own_server.process.signal(signal.SIGCONT)

    assert await _start_once_reachable(tested, new_request) in (Applied(), Duplicate())
    assert await tested.start(new_request) == Duplicate()


async def test_a_server_that_restarts_is_unreachable_meanwhile(
    own_server: LocalTemporal,
) -> None:
    """The next call after the restart connects again."""
    tested = gateway(await client(own_server.address))
    own_server.process.kill()
    with pytest.raises(Unreachable):
        await tested.start(request())
    own_server.start_again()
    assert await _start_once_reachable(tested, request()) == Applied()


async def test_a_server_that_never_answered_is_unreachable() -> None:
    """A client that connects with its first call raises ``RuntimeError`` instead of a gRPC error."""
    nobody = {"TEMPORAL_ADDRESS": "127.0.0.1:1", "TEMPORAL_NAMESPACE": "default"}
    tested = gateway(await connect({"key": KEY}, environ=nobody, lazy=True, retries=False))
    with pytest.raises(Unreachable):
        await tested.start(request())


async def _start_once_reachable(tested: TemporalGateway, new_request: ReceivedRequest) -> Outcome:
    async with asyncio.timeout(60):
        while True:
            try:
                return await tested.start(new_request)
            except Unreachable:
                continue
