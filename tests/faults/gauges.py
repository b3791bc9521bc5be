"""What a worker says of itself on ``/metrics``, and what its memory is: to be compared with what the servers know."""

from collections.abc import Mapping
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.worker import LocalWorker

_MIB: Final = 1024 * 1024


async def lag(worker: LocalWorker) -> Mapping[tuple[str, int], int]:
    """Return its lag in records, by topic and partition."""
    samples = await _samples(worker, "signin_consumer_lag_records")
    return {(labels["topic"], int(labels["partition"])): int(value) for labels, value in samples}


async def rebalances(worker: LocalWorker) -> int:
    """Return how often partitions were assigned to it."""
    return int(sum(value for _, value in await _samples(worker, "signin_consumer_rebalances_total")))


async def rebuilds(worker: LocalWorker) -> int:
    """Return how often its consumer stalled and was replaced."""
    return int(sum(value for _, value in await _samples(worker, "signin_consumer_rebuilds_total")))


def memory_mib(worker: LocalWorker) -> float:
    """Return its resident set, in MiB."""
    return float(worker.process.command.memory_info().rss) / _MIB


async def _samples(worker: LocalWorker, name: str) -> list[tuple[Mapping[str, str], float]]:
    async with httpx.AsyncClient(trust_env=False) as client:
        page = (await client.get(worker.metrics_url)).text
    families = text_string_to_metric_families(page)
    return [(one.labels, one.value) for family in families for one in family.samples if one.name == name]
