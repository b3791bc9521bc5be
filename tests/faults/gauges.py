"""A worker's own metrics and its memory, to compare with what the servers report."""

from collections.abc import Mapping
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.worker import LocalWorker

_MIB: Final = 1024 * 1024


async def lag(worker: LocalWorker) -> Mapping[tuple[str, int], int]:
    """Return the worker's lag in records, by topic and partition."""
    return {place: int(value) for place, value in (await _by_partition(worker, "signin_consumer_lag_records")).items()}


async def oldest_ages_s(worker: LocalWorker) -> Mapping[tuple[str, int], float]:
    """Return the age of the first record that is not done, by topic and partition."""
    return await _by_partition(worker, "signin_consumer_oldest_unfinished_age_seconds")


async def open_transactions_s(worker: LocalWorker) -> Mapping[tuple[str, int], float]:
    """Return how long one open transaction has held up its partition, by topic and partition."""
    return await _by_partition(worker, "signin_consumer_open_transaction_seconds")


async def replaced_logs(worker: LocalWorker, topic: str) -> int:
    """Return how often the worker noticed that a partition's log was replaced by another one."""
    samples = await _samples(worker, "signin_consumer_replaced_logs_total")
    return int(sum(value for labels, value in samples if labels["topic"] == topic))


async def outdated_credentials(worker: LocalWorker) -> int:
    """Return how many credentials have changed on disk and cannot be used."""
    return int(sum(value for _, value in await _samples(worker, "signin_credentials_outdated")))


async def rebalances(worker: LocalWorker) -> int:
    """Return how often partitions were assigned to the worker."""
    return int(sum(value for _, value in await _samples(worker, "signin_consumer_rebalances_total")))


async def rebuilds(worker: LocalWorker) -> int:
    """Return how often the worker's consumer stalled and was rebuilt."""
    return int(sum(value for _, value in await _samples(worker, "signin_consumer_rebuilds_total")))


def memory_mib(worker: LocalWorker) -> float:
    """Return the worker's resident set, in MiB."""
    return float(worker.process.command.memory_info().rss) / _MIB


async def _by_partition(worker: LocalWorker, name: str) -> Mapping[tuple[str, int], float]:
    samples = await _samples(worker, name)
    return {(labels["topic"], int(labels["partition"])): value for labels, value in samples}


async def _samples(worker: LocalWorker, name: str) -> list[tuple[Mapping[str, str], float]]:
    async with httpx.AsyncClient(trust_env=False) as client:
        page = (await client.get(worker.metrics_url)).text

    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return [(sample.labels, sample.value) for sample in samples if sample.name == name]
