"""How everything stands: asked of Kafka, of Temporal, and of one worker. Who does not answer is told as such."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import Client
from temporalio.service import RPCError

from activities.errors import TemporalUnavailable
from consumers.ports import KafkaUnavailable
from schemas.status import PartitionLag, Status, WorkerPage, WorkflowCounts
from utils.kafka.access import KafkaAccess
from utils.kafka.lag import partition_lags
from utils.temporal.namespace import missing_attributes
from workflows.names import (
    LOCKED_UNTIL_ATTRIBUTE,
    SIGN_IN_WORKFLOW,
    STATE_ATTRIBUTE,
    VERIFY_OTP_WORKFLOW,
    mailbox_task_queue,
)

_Part = TypeVar("_Part")
_WITHIN_S: Final = 5.0
_AWAY = (KafkaUnavailable, TemporalUnavailable, RPCError, RuntimeError, OSError, aiohttp.ClientError, TimeoutError)


class Lookout:
    """Looks. ``connect`` reaches Temporal; ``worker``: the address of one worker's pages."""

    def __init__(
        self,
        access: KafkaAccess,
        group_id: str,
        topics: tuple[str, ...],
        connect: Callable[[], Coroutine[Any, Any, Client]],
        task_queue: str,
        worker: str,
    ) -> None:
        self._access = access
        self._group_id = group_id
        self._topics = topics
        self._connect = connect
        self._task_queue = task_queue
        self._worker = worker
        self._client: Client | None = None

    async def look(self) -> Status:
        """Ask all three at once."""
        away: dict[str, str] = {}
        partitions, workflows, worker = await asyncio.gather(
            _asked("Kafka", self._partitions(), away),
            _asked("Temporal", self._workflows(), away),
            _asked("worker", self._page(), away),
        )
        return Status(at=datetime.now(UTC), partitions=partitions or (), workflows=workflows, worker=worker, away=away)

    async def _partitions(self) -> tuple[PartitionLag, ...]:
        return tuple(await partition_lags(self._access, self._group_id, self._topics))

    async def _workflows(self) -> WorkflowCounts:
        client = self._client = self._client or await self._connect()
        own = f"TaskQueue IN ('{self._task_queue}', '{mailbox_task_queue(self._task_queue)}')"
        by_status = {}
        for kind in (SIGN_IN_WORKFLOW, VERIFY_OTP_WORKFLOW):
            count = await client.count_workflows(f"{own} AND WorkflowType = '{kind}' GROUP BY ExecutionStatus")
            by_status[kind] = {str(group.group_values[0]): group.count for group in count.groups}
        try:
            unknown = bool(await missing_attributes(client))
        except RPCError:
            unknown = True
        if unknown:
            return WorkflowCounts(by_status=by_status, waiting=None, locked=None)
        running = f"{own} AND ExecutionStatus = 'Running'"
        waiting = await client.count_workflows(f"{running} AND {STATE_ATTRIBUTE} = 'waiting'")
        now = datetime.now(UTC).isoformat()
        locked = await client.count_workflows(f"{running} AND {LOCKED_UNTIL_ATTRIBUTE} > '{now}'")
        return WorkflowCounts(by_status=by_status, waiting=waiting.count, locked=locked.count)

    async def _page(self) -> WorkerPage:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_WITHIN_S)) as session:
            async with session.get(f"{self._worker}/readyz") as answer:
                ready = await answer.json()
            async with session.get(f"{self._worker}/metrics") as answer:
                text = await answer.text()
        return worker_page(tuple(ready["missing"]), text)


def worker_page(missing: tuple[str, ...], metrics: str) -> WorkerPage:
    """Read what a worker's metrics say."""
    gauges: defaultdict[str, float] = defaultdict(float)
    records: defaultdict[str, int] = defaultdict(int)
    results: defaultdict[str, int] = defaultdict(int)
    mails: defaultdict[str, int] = defaultdict(int)
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            match sample.name:
                case "signin_consumer_records_total":
                    records[sample.labels["outcome"]] += int(sample.value)
                case "signin_results_total":
                    results[f"{sample.labels['type']} {sample.labels['reason']}".strip()] += int(sample.value)
                case "signin_mails_total":
                    mails[sample.labels["outcome"]] += int(sample.value)
                case name if name.startswith("signin_"):
                    gauges[name] = sample.value
    return WorkerPage(
        missing=missing,
        in_flight=int(gauges["signin_consumer_in_flight"]),
        limit=int(gauges["signin_consumer_limit"]),
        breaker_open=gauges["signin_consumer_breaker_open"] > 0,
        rebuilds=int(gauges["signin_consumer_rebuilds_total"]),
        records=dict(records),
        results={kind: count for kind, count in results.items() if count},
        mails=dict(mails),
    )


async def _asked(who: str, question: Coroutine[Any, Any, _Part], away: dict[str, str]) -> _Part | None:
    try:
        return await question
    except _AWAY as error:
        away[who] = type(error).__name__
        return None
