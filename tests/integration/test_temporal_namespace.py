"""Namespaces on a real server: creation, search attributes, and mailboxes that set them."""

import asyncio
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

_RETENTION = timedelta(days=4)
_WITHIN_S = 30


@pytest.fixture
async def client(temporal: LocalTemporal) -> Client:
    """Return a client of a namespace that does not exist yet."""
    name = f"namespace-{uuid.uuid4().hex}"
    return await Client.connect(temporal.address, namespace=name, data_converter=pydantic_data_converter)


@pytest.fixture
async def stage(client: Client) -> AsyncIterator[Stage]:
    """Yield both workflows, running in a namespace that has the search attributes."""

    async def now() -> datetime:
        return datetime.now(UTC)

    await create_namespace(client, _RETENTION)
    policy = Policy(search_attributes=await shows_mailboxes(client, "auto"))
    async with Stage(client, now, policy).working() as stage:
        yield stage


async def register(client: Client) -> None:
    """Create the client's namespace without our search attributes, and wait until it is visible."""
    request = RegisterNamespaceRequest(namespace=client.namespace)
    request.workflow_execution_retention_period.FromTimedelta(_RETENTION)
    await client.workflow_service.register_namespace(request)

    async def is_visible() -> bool:
        try:
            await missing_attributes(client)
        except RPCError:
            return False
        return True

    await eventually(is_visible, "the namespace is visible", within_s=_WITHIN_S)


async def listed(stage: Stage, query: str) -> list[str]:
    """Return the ids of the workflows that a query finds."""
    return [workflow.id async for workflow in stage.client.list_workflows(query)]


async def wait_until_listed(stage: Stage, query: str) -> None:
    """Wait until a query finds Ada's mailbox and nothing else: the visibility store lags behind."""

    async def found() -> bool:
        return await listed(stage, query) == [stage.mailbox_id()]

    await eventually(found, query, within_s=_WITHIN_S)


async def test_a_namespace_is_created_once_and_never_changed(client: Client) -> None:
    """The namespace is created with the attributes. A second call changes nothing and lowers nothing."""
    first = await create_namespace(client, _RETENTION)

    assert (first.created, first.retention, first.added) == (True, _RETENTION, tuple(sorted(ATTRIBUTES)))

    async def has_attributes() -> bool:
        return not await missing_attributes(client)

    await eventually(has_attributes, "the attributes exist", within_s=_WITHIN_S)
    second = await create_namespace(client, timedelta(days=1))

    assert (second.created, second.retention, second.added) == (False, _RETENTION, ())


async def test_a_server_that_is_busy_with_namespaces_is_asked_again(own_server: LocalTemporal) -> None:
    """Changes of namespaces have a low rate of their own on each server, whoever makes them."""
    names = [f"namespace-{number}" for number in range(30)]
    clients = [await Client.connect(own_server.address, namespace=name) for name in names]

    reports = await asyncio.gather(*(create_namespace(client, _RETENTION) for client in clients))

    assert [report.name for report in reports] == names


async def test_mailboxes_set_no_search_attributes_that_the_namespace_lacks(client: Client) -> None:
    """Setting an unknown attribute would fail the workflow task forever, so only ``on`` sets them unasked."""
    assert not await shows_mailboxes(client, "auto")

    await register(client)

    assert await missing_attributes(client) == set(ATTRIBUTES)
    assert [await shows_mailboxes(client, wanted) for wanted in ("auto", "on", "off")] == [False, True, False]


async def test_waiting_and_locked_mailboxes_are_found_by_a_query(stage: Stage) -> None:
    """A query finds mailboxes that wait for a code or are locked, as long as they are."""
    signin_id = await stage.open_sign_in()
    await wait_until_listed(stage, "SigninState = 'waiting'")
    for _ in range(5):
        await stage.submit(signin_id, "wrong")

    await until(lambda: stage.outcomes(signin_id)[-1] == "signin.failed too_many_attempts")
    await wait_until_listed(stage, "SigninState = 'resting'")
    signin_id = await stage.open_sign_in()
    await wait_until_listed(stage, "SigninState = 'waiting'")
    for _ in range(5):
        await stage.submit(signin_id, "wrong")

    await until(lambda: stage.outcomes(signin_id)[-1] == "signin.failed too_many_attempts")
    await wait_until_listed(stage, f"SigninLockedUntil > '{datetime.now(UTC).isoformat()}'")

    assert await listed(stage, f"SigninLockedUntil > '{(datetime.now(UTC) + timedelta(days=1)).isoformat()}'") == []


async def test_a_server_that_does_not_answer_is_unavailable() -> None:
    """Without an answer from the server, creation raises ``TemporalUnavailable``, and no attributes are set."""
    nowhere = await connect({"k": b"k" * 32}, environ={"TEMPORAL_ADDRESS": "127.0.0.1:1"}, lazy=True)
    with pytest.raises(TemporalUnavailable):
        await create_namespace(nowhere, _RETENTION)
    assert not await shows_mailboxes(nowhere, "auto")
    with pytest.raises((RPCError, RuntimeError)):
        await missing_attributes(nowhere)
