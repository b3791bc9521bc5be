"""Erases what Temporal holds about one mailbox: its requests, its own runs, and its overflow workflows.

Only a mailbox's histories tell which sign-ins were its own. So a run goes after the requests that it names: whatever is
interrupted, or may not go yet, is found again the next time.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from temporalio.api.common.v1 import WorkflowExecution as ExecutionMessage
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError

from activities.errors import TemporalUnavailable, UnknownKey
from consumers.gateway.error_table import NO_CONNECTION, is_missing_workflow, needs_operator
from utils.temporal.client import RPC_TIMEOUT
from utils.temporal.histories import named_sign_in, read_history, requested_address
from utils.temporal.payload_codec import CorruptPayload
from workflows.names import (
    OPEN_OR_RESEND_SIGNAL,
    REFUSE_RESEND_SIGNAL,
    REJECT_SIGNAL,
    SIGN_IN_WORKFLOW,
    mailbox_workflow_id,
)

Kind = Literal["request", "overflow", "mailbox"]
"""In the order of deletion."""

# Our own workflows send these once they have found out whose request it is. A submission names whatever its sender
# typed: it must not get somebody else's request deleted.
_NAMING_SIGNALS: Final = frozenset({OPEN_OR_RESEND_SIGNAL, REFUSE_RESEND_SIGNAL, REJECT_SIGNAL})
_CONCURRENT_READS: Final = 16
_PREFIXES_PER_QUERY: Final = 20
_GONE_WITHIN_S: Final = 120.0
_LOOK_AGAIN_S: Final = 0.5

BelongsTo = Callable[[str], bool]
"""Tells whether mail to an address lands in the mailbox."""


@dataclass(frozen=True)
class StoredRun:
    """One run of a workflow. ``sign_ins``: those that a run of the mailbox names, if it is readable here."""

    kind: Kind
    workflow_id: str
    run_id: str
    is_open: bool
    started_at: datetime
    sign_ins: frozenset[str] = frozenset()
    is_readable: bool = True

    @property
    def sign_in(self) -> str:
        """The sign-in of a request."""
        return self.workflow_id.split("/")[1]


@dataclass(frozen=True)
class Holdings:
    """What Temporal holds. Whose ``unreadable_requests`` are, a search could not tell: their key is missing here."""

    runs: tuple[StoredRun, ...]
    unreadable_requests: int = 0

    @property
    def unreadable(self) -> int:
        """Runs of the mailbox that are encrypted under a key that this process does not have."""
        return sum(not run.is_readable for run in self.runs)

    def kept(self, now: datetime, horizon: timedelta) -> tuple[StoredRun, ...]:
        """Return the runs that still protect somebody.

        A mailbox that is open holds the limits on mails and guesses, an overflow workflow results that Kafka has yet to
        take. A request is the memory that its record was read: within the horizon, a record that is read again would
        be decided again. A run of the mailbox stays as long as a request that it names. One that cannot be read here
        stays for whoever can: nothing else names its requests.
        """
        others = [run for run in self.runs if run.kind != "mailbox" and (run.is_open or _is_recent(run, now, horizon))]
        sign_ins = {run.sign_in for run in others if run.kind == "request"}
        mailbox = [run for run in self.runs if run.kind == "mailbox" and _is_needed(run, sign_ins)]

        return (*others, *mailbox)


def _is_needed(run: StoredRun, sign_ins: set[str]) -> bool:
    return run.is_open or not run.is_readable or not sign_ins.isdisjoint(run.sign_ins)


def _is_recent(run: StoredRun, now: datetime, horizon: timedelta) -> bool:
    return run.kind == "request" and now - run.started_at < horizon


class TemporalErasure:
    """Finds and deletes. Every method raises ``TemporalUnavailable``, or ``RPCError`` where permissions are missing."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def find(self, mailbox: str, belongs: BelongsTo | None = None) -> Holdings:
        """Return what the server lists about a mailbox, named by its pseudonym.

        With ``belongs``, every request in the namespace is looked into: one that was rejected before it reached the
        mailbox is named nowhere. That is one call to the server for each of them.
        """
        with _translated_errors():
            own = [run async for run in self._list_prefixes(mailbox_workflow_id(mailbox))]
            runs = await self._with_sign_ins(own, mailbox_workflow_id(mailbox))
            requests = await self._requests(frozenset().union(*(run.sign_ins for run in runs)))
            others, unreadable = await self._search(belongs) if belongs else ([], 0)

        found = {run.run_id: run for run in (*requests, *others, *runs)}
        return Holdings(tuple(found.values()), unreadable)

    async def delete(self, runs: Sequence[StoredRun]) -> tuple[StoredRun, ...]:
        """Delete runs, requests first, and wait until they are gone. Return those that are still there after 2 min.

        An open one is terminated. A server deletes closed ones when it next looks, which is about every half minute.
        """
        order: Sequence[Kind] = ("request", "overflow", "mailbox")

        with _translated_errors():
            for run in sorted(runs, key=lambda each: order.index(each.kind)):
                await self._delete(run)
            return await self._wait_until_gone(runs)

    async def _with_sign_ins(self, runs: Sequence[WorkflowExecution], mailbox_id: str) -> list[StoredRun]:
        found: list[StoredRun] = []

        for run in runs:
            if run.id != mailbox_id:
                found.append(_stored(run, "overflow"))
                continue
            try:
                found.append(_stored(run, "mailbox", await self._sign_ins(run)))
            except (UnknownKey, CorruptPayload):
                found.append(_stored(run, "mailbox", is_readable=False))
            except RPCError as error:
                if not is_missing_workflow(error):  # lists lag: it has just been deleted
                    raise

        return found

    async def _sign_ins(self, run: WorkflowExecution) -> frozenset[str]:
        """Return the sign-ins that a run of the mailbox was told of by our own workflows."""
        history = await read_history(self._client.get_workflow_handle(run.id, run_id=run.run_id))
        signals = [
            event.workflow_execution_signaled_event_attributes
            for event in history
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
        ]

        found: set[str | None] = set()
        for signal in signals:
            if signal.signal_name in _NAMING_SIGNALS:
                found.add(await named_sign_in(self._client.data_converter, signal.input.payloads))
        return frozenset(filter(None, found))

    async def _requests(self, sign_ins: frozenset[str]) -> list[StoredRun]:
        """Return all attempts of these sign-ins."""
        prefixes = [f"signin/{sign_in}/" for sign_in in sorted(sign_ins)]
        found = []
        for first in range(0, len(prefixes), _PREFIXES_PER_QUERY):
            async for run in self._list_prefixes(*prefixes[first : first + _PREFIXES_PER_QUERY]):
                found.append(_stored(run, "request"))
        return found

    async def _search(self, belongs: BelongsTo) -> tuple[list[StoredRun], int]:
        """Return the requests whose address belongs to the mailbox, and how many requests cannot be read here."""
        found: list[StoredRun] = []
        unreadable = 0
        batch: list[WorkflowExecution] = []

        async def look() -> None:
            nonlocal unreadable
            addresses = await asyncio.gather(*(self._address(run) for run in batch))
            unreadable += addresses.count(None)
            pairs = zip(batch, addresses, strict=True)
            found.extend(_stored(run, "request") for run, address in pairs if address is not None and belongs(address))
            batch.clear()

        async for run in self._client.list_workflows(f"WorkflowType = '{SIGN_IN_WORKFLOW}'"):
            batch.append(run)
            if len(batch) == _CONCURRENT_READS:
                await look()

        await look()
        return found, unreadable

    async def _address(self, run: WorkflowExecution) -> str | None:
        """Return the address of a request, None if its key is missing here.

        It is empty if the request has gone meanwhile, or is an operator's mistake.
        """
        try:
            start = await self._first_event(run)
            payloads = start.workflow_execution_started_event_attributes.input.payloads
            return await requested_address(self._client.data_converter, payloads) or ""
        except (UnknownKey, CorruptPayload):
            return None
        except RPCError as error:
            if not is_missing_workflow(error):
                raise
            return ""

    async def _first_event(self, run: WorkflowExecution) -> HistoryEvent:
        handle = self._client.get_workflow_handle(run.id, run_id=run.run_id)
        events = handle.fetch_history_events(page_size=1, rpc_timeout=RPC_TIMEOUT)

        return await anext(aiter(events))

    async def _list_prefixes(self, *prefixes: str) -> AsyncIterator[WorkflowExecution]:
        query = " OR ".join(f"WorkflowId STARTS_WITH '{prefix}'" for prefix in prefixes)
        async for run in self._client.list_workflows(query):
            if run.id.startswith(prefixes):  # whatever a server makes of OR, nobody else's run is deleted
                yield run

    async def _delete(self, run: StoredRun) -> None:
        execution = ExecutionMessage(workflow_id=run.workflow_id, run_id=run.run_id)
        request = DeleteWorkflowExecutionRequest(namespace=self._client.namespace, workflow_execution=execution)

        try:
            await self._client.workflow_service.delete_workflow_execution(request, timeout=RPC_TIMEOUT)
        except RPCError as error:
            if not is_missing_workflow(error):
                raise

    async def _wait_until_gone(self, runs: Sequence[StoredRun]) -> tuple[StoredRun, ...]:
        waiting = list(runs)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GONE_WITHIN_S):
                while waiting:
                    if await self._exists(waiting[-1]):
                        await asyncio.sleep(_LOOK_AGAIN_S)
                    else:
                        waiting.pop()

        return tuple(waiting)

    async def _exists(self, run: StoredRun) -> bool:
        handle = self._client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
        try:
            await handle.describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if not is_missing_workflow(error):
                raise
            return False
        return True


def _stored(
    run: WorkflowExecution, kind: Kind, sign_ins: frozenset[str] = frozenset(), *, is_readable: bool = True
) -> StoredRun:
    is_open = run.status is WorkflowExecutionStatus.RUNNING
    return StoredRun(kind, run.id, run.run_id, is_open, run.start_time, sign_ins, is_readable)


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except RPCError as error:
        if needs_operator(error):
            raise
        raise TemporalUnavailable from None
    except NO_CONNECTION:
        raise TemporalUnavailable from None
