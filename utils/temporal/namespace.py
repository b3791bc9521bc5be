"""The namespace: making it, and what it has to know. Nothing that is there is ever changed or lowered."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.errors import TemporalUnavailable
from consumers.gateway.error_table import NO_CONNECTION, needs_operator
from utils.temporal.client import RPC_TIMEOUT, namespace_retention
from workflows.names import LOCKED_UNTIL_ATTRIBUTE, STATE_ATTRIBUTE

Wanted = Literal["auto", "on", "off"]

ATTRIBUTES: Final = {
    STATE_ATTRIBUTE: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    LOCKED_UNTIL_ATTRIBUTE: IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
}

_VISIBLE_WITHIN_S = 30.0
_LOOK_AGAIN_S = 0.25


@dataclass(frozen=True)
class NamespaceReport:
    """What ``create`` did, and what is there now."""

    name: str
    created: bool
    retention: timedelta
    added: tuple[str, ...]


async def missing_attributes(client: Client) -> frozenset[str]:
    """Return the search attributes that the namespace lacks, or knows by another type. Raises ``RPCError``."""
    request = ListSearchAttributesRequest(namespace=client.namespace)
    answer = await client.operator_service.list_search_attributes(request, timeout=RPC_TIMEOUT)
    return frozenset(name for name, kind in ATTRIBUTES.items() if answer.custom_attributes.get(name) != kind)


async def shows_mailboxes(client: Client, wanted: Wanted) -> bool:
    """Tell whether mailboxes may set search attributes; ``auto``: if the namespace says that it knows them.

    A server that will not tell (no permission, no operator service) counts as one that does not know them.
    """
    if wanted != "auto":
        return wanted == "on"
    try:
        return not await missing_attributes(client)
    except (RPCError, *NO_CONNECTION):
        return False


async def create_namespace(client: Client, retention: timedelta) -> NamespaceReport:
    """Make the client's namespace and its search attributes, as far as they are missing.

    Raises ``TemporalUnavailable``, or ``RPCError`` where permissions are missing.
    """
    try:
        created = await _registered(client, retention)
        added = tuple(sorted(await _when_visible(client)))
        if added:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(
                    namespace=client.namespace, search_attributes={name: ATTRIBUTES[name] for name in added}
                ),
                timeout=RPC_TIMEOUT,
            )
        return NamespaceReport(client.namespace, created, await namespace_retention(client), added)
    except RPCError as error:
        if needs_operator(error):
            raise
        raise TemporalUnavailable from None
    except NO_CONNECTION:
        raise TemporalUnavailable from None


async def _registered(client: Client, retention: timedelta) -> bool:
    period = Duration()
    period.FromTimedelta(retention)
    request = RegisterNamespaceRequest(namespace=client.namespace, workflow_execution_retention_period=period)
    try:
        await client.workflow_service.register_namespace(request, timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
        return False
    return True


async def _when_visible(client: Client) -> frozenset[str]:
    """Return what is missing, once the namespace can be asked: servers look for new ones every few seconds."""
    async with asyncio.timeout(_VISIBLE_WITHIN_S):
        while True:
            try:
                await namespace_retention(client)
                return await missing_attributes(client)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
            await asyncio.sleep(_LOOK_AGAIN_S)
