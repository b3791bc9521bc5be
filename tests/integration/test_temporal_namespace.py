"""A namespace made by us, and mailboxes that show in its list how they stand. A real server."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from activities.errors import TemporalUnavailable
from deploy.local.servers.temporal import LocalTemporal
from deploy.local.waiting import eventually
from schemas.policy import Policy
from tests.fakes.stage import Stage
from tests.fakes.waiting import until
from utils.temporal.client import connect
from utils.temporal.namespace import ATTRIBUTES, create_namespace, missing_attributes, shows_mailboxes

_DAYS = timedelta(days=4)
_WITHIN_S = 30


@pytest.fixture
async def client(temporal: LocalTemporal) -> Client:
    """Give a client of a namespace that is not there yet."""
    name = f"namespace-{uuid.uuid4().hex}"
    return await Client.connect(temporal.address, namespace=name, data_converter=pydantic_data_converter)


@pytest.fixture
async def stage(client: Client) -> AsyncIterator[Stage]:
    """Give both workflows at work in a namespace that knows the search attributes."""

    async def now() -> datetime:
        return datetime.now(UTC)

    await create_namespace(client, _DAYS)
    policy = Policy(search_attributes=await shows_mailboxes(client, "auto"))
    async with Stage(client, now, policy).working() as stage:
        yield stage


async def registered(client: Client) -> None:
    """Make the client's namespace, without our attributes, and wait until it is there."""
    request = RegisterNamespaceRequest(namespace=client.namespace)
    request.workflow_execution_retention_period.FromTimedelta(_DAYS)
    await client.workflow_service.register_namespace(request)

    async def is_there() -> bool:
        try:
            await missing_attributes(client)
        except RPCError:
            return False
        return True

    await eventually(is_there, "the namespace is there", within_s=_WITHIN_S)


async def listed(stage: Stage, query: str) -> list[str]:
    """Return the ids of the workflows that a query finds."""
    return [one.id async for one in stage.client.list_workflows(query)]


async def is_listed(stage: Stage, query: str) -> None:
    """Wait until Ada's mailbox is what a query finds: lists lag behind."""

    async def found() -> bool:
        return await listed(stage, query) == [stage.mailbox_id()]

    await eventually(found, query, within_s=_WITHIN_S)


async def test_a_namespace_is_made_once_and_never_changed(client: Client) -> None:
    """With the attributes; a second time nothing is done, and nothing is lowered."""
    first = await create_namespace(client, _DAYS)
    assert (first.created, first.retention, first.added) == (True, _DAYS, tuple(sorted(ATTRIBUTES)))

    async def is_known() -> bool:
        return not await missing_attributes(client)

    await eventually(is_known, "the attributes are known", within_s=_WITHIN_S)
    second = await create_namespace(client, timedelta(days=1))

    assert (second.created, second.retention, second.added) == (False, _DAYS, ())


async def test_where_they_are_not_known_mailboxes_do_not_set_them(client: Client) -> None:
    """Setting one would fail the workflow task for ever. Only who is told so sets them unasked."""
    assert not await shows_mailboxes(client, "auto")
    await registered(client)
    assert await missing_attributes(client) == set(ATTRIBUTES)
    assert [await shows_mailboxes(client, wanted) for wanted in ("auto", "on", "off")] == [False, True, False]


async def test_who_waits_and_who_is_locked_is_one_query(stage: Stage) -> None:
    """And no longer once that is over."""
    signin_id = await stage.signed_in()
    await is_listed(stage, "SigninState = 'waiting'")
    for _ in range(5):
        await stage.submit(signin_id, "wrong")

    await until(lambda: stage.outcomes(signin_id)[-1] == "signin.failed too_many_attempts")
    await is_listed(stage, "SigninState = 'resting'")
    signin_id = await stage.signed_in()
    await is_listed(stage, "SigninState = 'waiting'")
    for _ in range(5):
        await stage.submit(signin_id, "wrong")

    await until(lambda: stage.outcomes(signin_id)[-1] == "signin.failed too_many_attempts")
    await is_listed(stage, f"SigninLockedUntil > '{datetime.now(UTC).isoformat()}'")

    assert await listed(stage, f"SigninLockedUntil > '{(datetime.now(UTC) + timedelta(days=1)).isoformat()}'") == []


async def test_out_of_reach_is_told() -> None:
    """As everywhere."""
    nowhere = await connect({"k": b"k" * 32}, environ={"TEMPORAL_ADDRESS": "127.0.0.1:1"}, lazy=True)
    with pytest.raises(TemporalUnavailable):
        await create_namespace(nowhere, _DAYS)
    assert not await shows_mailboxes(nowhere, "auto")
    with pytest.raises((RPCError, RuntimeError)):
        await missing_attributes(nowhere)
