"""A worker's own metrics and its memory, to compare with what the servers report."""

from collections.abc import Mapping
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.worker import LocalWorker

_MIB: Final = 1024 * 1024


async def lag(worker: LocalWorker) -> Mapping[tuple[str, int], int]:
    """Return the worker's lag in records, by topic and partition."""
    samples = await _samples(worker, "signin_consumer_lag_records")
    return {(labels["topic"], int(labels["partition"])): int(value) for labels, value in samples}


async def rebalances(worker: LocalWorker) -> int:
    """Return how often partitions were assigned to the worker."""
    return int(sum(value for _, value in await _samples(worker, "signin_consumer_rebalances_total")))


async def rebuilds(worker: LocalWorker) -> int:
    """Return how often the worker's consumer stalled and was rebuilt."""
    return int(sum(value for _, value in await _samples(worker, "signin_consumer_rebuilds_total")))


def memory_mib(worker: LocalWorker) -> float:
    """Return the worker's resident set, in MiB."""
    return float(worker.process.command.memory_info().rss) / _MIB


async def _samples(worker: LocalWorker, name: str) -> list[tuple[Mapping[str, str], float]]:
    async with httpx.AsyncClient(trust_env=False) as client:
        page = (await client.get(worker.metrics_url)).text

    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return [(sample.labels, sample.value) for sample in samples if sample.name == name]
