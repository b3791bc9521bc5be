"""The error table against the real server: what it answers, wherever it can be made to."""

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from temporalio.client import Client

from activities.codes import CodeKeys
from activities.errors import TemporalUnavailable
from activities.pseudonyms import Pseudonyms
from consumers.decode import ReceivedRequest, ReceivedSubmission, decode_request, decode_submission
from consumers.gateway.temporal import TemporalGateway
from consumers.outcomes import Applied, Duplicate, KeyBusy, Misconfigured, Outcome, Rejected, Throttled, Unreachable
from deploy.local.servers.backends import Temporal
from deploy.local.servers.temporal import LocalTemporal
from schemas.policy import Policy
from schemas.signals import Refusal
from tests.fakes.inbound import REQUESTED, SUBMITTED, record, request_data, submission_data
from tests.faults.upstream import new_signin_id
from utils.temporal.client import connect
from utils.temporal.mailboxes import TemporalMailboxes

_KEY: Final = bytes(32)
_BLOB, _MESSAGE = 2_100_000, 4_500_000
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
    return await connect({"key": _KEY}, environ={"TEMPORAL_ADDRESS": address, "TEMPORAL_NAMESPACE": namespace})


def gateway(own: Client) -> TemporalGateway:
    """Return the gateway under test, on a task queue that nobody polls."""
    keys = CodeKeys({"key": _KEY})
    return TemporalGateway(own, "nobody-polls", Policy(), Pseudonyms(_KEY), keys, _SOON)


def request(token: str = "0.abc", signin_id: str = "") -> ReceivedRequest:
    """Return a new request. What no emitter can bring past the decoder is put into it afterwards."""
    now = datetime.now(UTC)
    data = request_data(signin_id=new_signin_id())
    content = decode_request(record(REQUESTED, data), now)
    assert isinstance(content, ReceivedRequest)
    changes = {"turnstile_token": token, "signin_id": signin_id or data["signin_id"]}
    return replace(content, event=content.event.model_copy(update=changes))


def submission(number: int) -> ReceivedSubmission:
    """Return a submission to the one mailbox of this server."""
    content = decode_submission(record(SUBMITTED, submission_data(number)), datetime.now(UTC))
    assert isinstance(content, ReceivedSubmission)
    return content


async def test_the_same_request_again_is_a_duplicate(temporal: Temporal) -> None:
    """OK is applied, ALREADY_EXISTS a duplicate."""
    own, asked = gateway(await client(temporal.address)), request()
    assert [await own.start(asked), await own.start(asked)] == [Applied(), Duplicate()]


@pytest.mark.parametrize(
    "asked",
    [request(token="x" * _BLOB), request(token="x" * _MESSAGE), request(signin_id="x" * 1_001)],
    ids=["a blob of 2.1 MB", "a message of 4.5 MB", "an id of more than 1,000"],
)
async def test_what_temporal_will_never_take_is_rejected(temporal: Temporal, asked: ReceivedRequest) -> None:
    """A blob of 2.1 MB, a message of 4.5 MB, an id above 1,000: dead letters, once and for all."""
    outcome = await gateway(await client(temporal.address)).start(asked)
    assert isinstance(outcome, Rejected)
    assert outcome.error == "refused"


async def test_a_namespace_that_is_not_there_is_a_mistake_of_settings(temporal: Temporal) -> None:
    """Consumption stops; nothing is dead-lettered."""
    own = gateway(await client(temporal.address, "nowhere"))
    with pytest.raises(Misconfigured):
        await own.start(request())
    with pytest.raises(Misconfigured):
        await own.submit(submission(1))


async def test_a_run_that_is_full_of_signals_concerns_one_mailbox(own_server: LocalTemporal) -> None:
    """The limit is lowered from 10,000. The next run takes the same signal: a matter of this key, and of time."""
    own_server.process.kill()
    own_server.start_again({"history.maximumSignalsPerExecution": str(_FEW_SIGNALS)})
    whole = await client(own_server.address)
    own = gateway(whole)
    for number in range(_FEW_SIGNALS):
        assert await own.submit(submission(number)) == Applied()

    with pytest.raises(KeyBusy):
        await own.submit(submission(_FEW_SIGNALS))

    mailbox = Pseudonyms(_KEY).mailbox(submission(0).address)
    refusal = Refusal(signin_id=new_signin_id(), attempt=2, reason="stale")

    with pytest.raises(TemporalUnavailable):
        await TemporalMailboxes(whole, "nobody-polls").hand_over(mailbox, refusal, Policy())


async def test_a_server_that_is_asked_too_often_throttles(own_server: LocalTemporal) -> None:
    """With one call a second allowed; the calls that were turned away are for later, not for the dead letters."""
    own_server.process.kill()
    own_server.start_again({"frontend.namespaceRPS": "1", "frontend.namespaceBurstRatio": "1.0"})
    own = gateway(await client(own_server.address))
    answers = await asyncio.gather(*(own.start(request()) for _ in range(20)), return_exceptions=True)
    assert any(isinstance(answer, Throttled) for answer in answers)
    assert all(isinstance(answer, Applied | Throttled) for answer in answers)


async def test_a_frozen_server_is_unreachable(own_server: LocalTemporal) -> None:
    """Within the call's own limit, not the SDK's 30 s; thawed, it has the request once, whatever it did meanwhile."""
    own = gateway(await client(own_server.address))
    asked = request()
    own_server.process.signal(signal.SIGSTOP)
    async with asyncio.timeout(20):
        with pytest.raises(Unreachable):
            await own.start(asked)

    own_server.process.signal(signal.SIGCONT)

    assert await _patiently(own, asked) in (Applied(), Duplicate())
    assert await own.start(asked) == Duplicate()


async def test_a_dead_server_is_unreachable_and_comes_back(own_server: LocalTemporal) -> None:
    """A connection that was lost is made anew by the next call."""
    own = gateway(await client(own_server.address))
    own_server.process.kill()
    with pytest.raises(Unreachable):
        await own.start(request())
    own_server.start_again()
    assert await _patiently(own, request()) == Applied()


async def test_a_server_that_was_never_there_is_unreachable() -> None:
    """A client that connects with its first call raises no gRPC error but ``RuntimeError``."""
    nobody = {"TEMPORAL_ADDRESS": "127.0.0.1:1", "TEMPORAL_NAMESPACE": "default"}
    own = gateway(await connect({"key": _KEY}, environ=nobody, lazy=True))
    with pytest.raises(Unreachable):
        await own.start(request())


async def _patiently(own: TemporalGateway, asked: ReceivedRequest) -> Outcome:
    async with asyncio.timeout(60):
        while True:
            try:
                return await own.start(asked)
            except Unreachable:
                continue
