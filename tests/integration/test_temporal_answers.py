"""The error table against a real server, wherever the server can be made to raise the error."""

import asyncio
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
import pytest
from temporalio.client import Client

from activities.codes import CodeKeys
from activities.errors import TemporalUnavailable
from activities.pseudonyms import Pseudonyms
from consumers.decode import (
    ReceivedRequest,
    ReceivedSubmission,
    decode_request,
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
    Throttled,
    Unreachable,
)
from deploy.local.servers.backends import Temporal
from deploy.local.servers.temporal import LocalTemporal
from deploy.local.waiting import eventually
from schemas.policy import Policy
from schemas.signals import Refusal
from tests.fakes.inbound import (
    REQUESTED,
    SUBMITTED,
    record,
    request_data,
    submission_data,
)
from tests.faults.upstream import new_signin_id
from utils.temporal.client import connect, without_retries
from utils.temporal.mailboxes import TemporalMailboxes

_KEY: Final = bytes(32)
_LARGE_BLOB: Final = 2_100_000
_LARGE_MESSAGE: Final = 4_500_000
_FEW_SIGNALS: Final = 5
_SOON: Final = timedelta(seconds=2)


@pytest.fixture
def own_server() -> Iterator[LocalTemporal]:
    """Give a server that this test may hurt."""
    server = LocalTemporal(durable=True)
    server.start()
    yield server
    server.stop()


async def client(address: str, namespace: str = LocalTemporal.namespace) -> Client:
    """Connect as the worker does."""
    return await connect(
        {"key": _KEY},
        environ={"TEMPORAL_ADDRESS": address, "TEMPORAL_NAMESPACE": namespace},
    )


def gateway(temporal_client: Client) -> TemporalGateway:
    """Return the gateway under test, on a task queue that nobody polls."""
    keys = CodeKeys({"key": _KEY})
    return TemporalGateway(without_retries(temporal_client), "nobody-polls", Policy(), Pseudonyms(_KEY), keys, _SOON)


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

    mailbox = Pseudonyms(_KEY).mailbox(submission(0).address)
    refusal = Refusal(signin_id=new_signin_id(), attempt=2, reason="stale", decided_at=datetime.now(UTC))

    with pytest.raises(TemporalUnavailable):
        await TemporalMailboxes(whole, "nobody-polls").hand_over(mailbox, refusal, Policy())


async def test_a_server_that_is_called_too_often_throttles(own_server: LocalTemporal) -> None:
    """Four calls a second are allowed here. Each call is made once, so the limit hears of each that is turned away."""
    own_server.process.kill()
    own_server.start_again({"frontend.namespaceRPS": "4", "frontend.namespaceBurstRatio": "1.0"})
    tested = gateway(await client(own_server.address))
    await asyncio.sleep(1)  # connecting took calls, too

    started_at = time.monotonic()
    answers = await asyncio.gather(*(tested.start(request()) for _ in range(20)), return_exceptions=True)
    took_s = time.monotonic() - started_at

    throttled = sum(isinstance(answer, Throttled) for answer in answers)
    applied = sum(isinstance(answer, Applied) for answer in answers)

    assert throttled + applied == 20
    assert throttled >= 10
    assert took_s < 1

    async def server_has_counted() -> bool:
        return await asyncio.to_thread(_starts_seen, own_server) == 20

    await eventually(server_has_counted, "the server has seen 20 calls", within_s=10)


def _starts_seen(server: LocalTemporal) -> int:
    """Return how often the server was asked to start a workflow."""
    lines = httpx.get(server.metrics_url, trust_env=False).text.splitlines()
    kinds = ('service_requests{namespace="default"', 'operation="StartWorkflowExecution"', 'service_name="frontend"')
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if all(kind in line for kind in kinds))


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
    tested = gateway(await connect({"key": _KEY}, environ=nobody, lazy=True))
    with pytest.raises(Unreachable):
        await tested.start(request())


async def _start_once_reachable(tested: TemporalGateway, new_request: ReceivedRequest) -> Outcome:
    async with asyncio.timeout(60):
        while True:
            try:
                return await tested.start(new_request)
            except Unreachable:
                continue
