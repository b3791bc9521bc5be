"""The status of Kafka, Temporal and one worker. A source that does not answer is reported as away."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from temporalio.client import Client
from temporalio.service import RPCError

from activities.errors import TemporalUnavailable
from consumers.ports import KafkaUnavailable
from schemas.status import PartitionLag, Status, WorkerPage, WorkflowCounts
from utils.endpoints import InstanceUnavailable
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
_TIMEOUT_S: Final = 5.0
_AWAY = (
    KafkaUnavailable,
    TemporalUnavailable,
    InstanceUnavailable,
    RPCError,
    RuntimeError,
    OSError,
    aiohttp.ClientError,
    TimeoutError,
)


class StatusReader:
    """Reads the status. ``connect`` connects to Temporal; ``worker_url``: where one worker serves its endpoints."""

    def __init__(
        self,
        access: KafkaAccess,
        group_id: str,
        topics: tuple[str, ...],
        connect: Callable[[], Coroutine[Any, Any, Client]],
        task_queue: str,
        worker_url: str,
    ) -> None:
        self._access = access
        self._group_id = group_id
        self._topics = topics
        self._connect = connect
        self._task_queue = task_queue
        self._worker_url = worker_url
        self._client: Client | None = None

    async def read(self) -> Status:
        """Ask all three sources at once."""
        away: dict[str, str] = {}
        partitions, workflows, worker = await asyncio.gather(
            _answer("Kafka", partition_lags(self._access, self._group_id, self._topics), away),
            _answer("Temporal", self._count_workflows(), away),
            _answer("worker", self._read_worker(), away),
        )

        return Status(
            at=datetime.now(UTC),
            partitions=tuple(partitions or ()),
            unseen=() if partitions is None else self._unseen(partitions),
            workflows=workflows,
            worker=worker,
            away=away,
        )

    def _unseen(self, partitions: Sequence[PartitionLag]) -> tuple[str, ...]:
        seen = {partition.topic for partition in partitions}
        return tuple(topic for topic in self._topics if topic not in seen)

    async def _count_workflows(self) -> WorkflowCounts:
        client = self._client = self._client or await self._connect()
        queues = f"TaskQueue IN ('{self._task_queue}', '{mailbox_task_queue(self._task_queue)}')"

        by_status = {}
        for kind in (SIGN_IN_WORKFLOW, VERIFY_OTP_WORKFLOW):
            count = await client.count_workflows(f"{queues} AND WorkflowType = '{kind}' GROUP BY ExecutionStatus")
            by_status[kind] = {str(group.group_values[0]): group.count for group in count.groups}

        if not await _has_attributes(client):
            return WorkflowCounts(by_status=by_status, waiting=None, locked=None)

        running = f"{queues} AND ExecutionStatus = 'Running'"
        now = datetime.now(UTC).isoformat()
        waiting = await client.count_workflows(f"{running} AND {STATE_ATTRIBUTE} = 'waiting'")
        locked = await client.count_workflows(f"{running} AND {LOCKED_UNTIL_ATTRIBUTE} > '{now}'")

        return WorkflowCounts(by_status=by_status, waiting=waiting.count, locked=locked.count)

    async def _read_worker(self) -> WorkerPage:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            async with session.get(f"{self._worker_url}/readyz") as answer:
                ready = await answer.read()
            async with session.get(f"{self._worker_url}/metrics") as answer:
                metrics = await answer.read()

        try:
            return worker_page(tuple(json.loads(ready)["missing"]), metrics.decode())
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
            raise InstanceUnavailable(f"no signin-worker answers at {self._worker_url}") from None


def worker_page(missing: tuple[str, ...], metrics: str) -> WorkerPage:
    """Return what a worker's metrics say."""
    gauges: defaultdict[str, float] = defaultdict(float)
    records: Counter[str] = Counter()
    results: Counter[str] = Counter()
    mails: Counter[str] = Counter()

    for sample in _samples(metrics):
        labels = sample.labels
        match sample.name:
            case "signin_consumer_records_total":
                records[labels["outcome"]] += int(sample.value)
            case "signin_results_total":
                results[f"{labels['type']} {labels['reason']}".strip()] += int(sample.value)
            case "signin_mails_total":
                mails[labels["outcome"]] += int(sample.value)
            case name if name.startswith("signin_"):
                gauges[name] = sample.value

    return WorkerPage(
        missing=missing,
        in_flight=int(gauges["signin_consumer_in_flight"]),
        limit=int(gauges["signin_consumer_limit"]),
        breaker_open=gauges["signin_consumer_breaker_open"] > 0,
        rebuilds=int(gauges["signin_consumer_rebuilds_total"]),
        records=records,
        results={kind: count for kind, count in results.items() if count},
        mails=mails,
    )


def _samples(metrics: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(metrics):
        yield from family.samples


async def _has_attributes(client: Client) -> bool:
    """Tell whether the namespace knows our search attributes. A server that does not say counts as one without."""
    try:
        return not await missing_attributes(client)
    except RPCError:
        return False


async def _answer(source: str, question: Coroutine[Any, Any, _Part], away: dict[str, str]) -> _Part | None:
    """Return the answer, or None with the class of the error in ``away``."""
    try:
        return await question
    except _AWAY as error:
        away[source] = type(error).__name__
        return None
