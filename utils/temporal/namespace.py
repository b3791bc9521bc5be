"""Creates the namespace and its search attributes. Nothing that exists is ever changed."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.errors import TemporalUnavailable
from consumers.gateway.error_table import NO_CONNECTION, needs_operator, translate
from consumers.outcomes import Throttled, Unreachable
from utils.temporal.client import RPC_TIMEOUT, namespace_retention
from workflows.names import LOCKED_UNTIL_ATTRIBUTE, STATE_ATTRIBUTE

Wanted = Literal["auto", "on", "off"]

ATTRIBUTES: Final = {
    STATE_ATTRIBUTE: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    LOCKED_UNTIL_ATTRIBUTE: IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
}

_VISIBLE_WITHIN_S: Final = 30.0
_POLL_S: Final = 0.25
_QUESTIONS: Final = 3
_PAUSE_S: Final = 0.5


@dataclass(frozen=True)
class NamespaceReport:
    """What was created, and how long the namespace retains closed workflows."""

    name: str
    created: bool
    retention: timedelta
    added: tuple[str, ...]


async def missing_attributes(client: Client) -> frozenset[str]:
    """Return the search attributes that the namespace lacks or has with another type. Raises ``RPCError``."""
    request = ListSearchAttributesRequest(namespace=client.namespace)
    answer = await client.operator_service.list_search_attributes(request, retry=True, timeout=RPC_TIMEOUT)
    existing = answer.custom_attributes

    return frozenset(name for name, kind in ATTRIBUTES.items() if existing.get(name) != kind)


async def shows_mailboxes(client: Client, wanted: Wanted) -> bool:
    """Tell whether mailboxes may set search attributes. ``auto`` means: if the namespace has them.

    A server that does not answer the question (no permission, no operator service) counts
    as one without them. One that is busy or away is asked again, because the answer holds until the worker ends.
    """
    if wanted != "auto":
        return wanted == "on"

    for _ in range(_QUESTIONS):
        try:
            return not await missing_attributes(client)
        except (RPCError, *NO_CONNECTION) as error:
            if not isinstance(translate(error), Throttled | Unreachable):
                return False
            await asyncio.sleep(_PAUSE_S)

    return False


async def create_namespace(client: Client, retention: timedelta) -> NamespaceReport:
    """Create the client's namespace and its search attributes where they are missing.

    A server that is busy is asked again: changes of namespaces have a rate of their own, and fail if they collide.
    Raises ``TemporalUnavailable``, or ``RPCError`` where permissions are missing.
    """
    try:
        created = await _register(client, retention)
        added = await _add_attributes(client)
        actual_retention = await namespace_retention(client)
    except (RPCError, *NO_CONNECTION) as error:
        if needs_operator(error):
            raise
        raise TemporalUnavailable from None

    return NamespaceReport(client.namespace, created, actual_retention, added)


async def _register(client: Client, retention: timedelta) -> bool:
    """Create the namespace; return False if it exists."""
    period = Duration()
    period.FromTimedelta(retention)
    request = RegisterNamespaceRequest(namespace=client.namespace, workflow_execution_retention_period=period)

    try:
        await client.workflow_service.register_namespace(request, retry=True, timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
        return False

    return True


async def _add_attributes(client: Client) -> tuple[str, ...]:
    """Add the search attributes that are missing; return their names."""
    missing = tuple(sorted(await _missing_attributes_once_visible(client)))
    if missing:
        attributes = {name: ATTRIBUTES[name] for name in missing}
        request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=attributes)
        await client.operator_service.add_search_attributes(request, retry=True, timeout=RPC_TIMEOUT)

    return missing


async def _missing_attributes_once_visible(client: Client) -> frozenset[str]:
    """Wait until the namespace is visible: servers look for new ones every few seconds."""
    async with asyncio.timeout(_VISIBLE_WITHIN_S):
        while True:
            try:
                await namespace_retention(client)
                return await missing_attributes(client)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
            await asyncio.sleep(_POLL_S)
