"""Reads the worker's metrics and the states of its workflows into the journal, twice a second."""

import asyncio
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import Client
from temporalio.service import RPCError

from deploy.demo.journal import Gauges, Journal
from deploy.demo.stack import Stack
from deploy.local.servers.temporal import LocalTemporal

_INTERVAL_S: Final = 0.5
_WORKFLOW_TYPES: Final = ("sign_in_workflow", "verify_otp_workflow")


async def poll_gauges(stack: Stack, journal: Journal) -> None:
    """Read until cancelled. A value that cannot be read keeps its last state."""
    temporal = await Client.connect(stack.temporal.address, namespace=LocalTemporal.namespace)

    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        while True:
            await _read_metrics(client, stack.worker.metrics_url, journal.gauges)
            await _read_workflows(temporal, stack.topics.workflows, journal.gauges)
            await asyncio.sleep(_INTERVAL_S)


async def _read_metrics(client: httpx.AsyncClient, url: str, gauges: Gauges) -> None:
    try:
        text = (await client.get(url)).text
    except httpx.HTTPError:
        return

    lag = 0.0
    outcomes: dict[str, int] = {}
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)

    for sample in samples:
        match sample.name:
            case "signin_consumer_lag_records":
                lag += sample.value
            case "signin_consumer_in_flight":
                gauges.in_flight = int(sample.value)
            case "signin_consumer_records_total":
                outcome = sample.labels["outcome"]
                outcomes[outcome] = outcomes.get(outcome, 0) + int(sample.value)

    gauges.lag = int(lag)
    gauges.outcomes = outcomes


async def _read_workflows(client: Client, of_this_worker: str, gauges: Gauges) -> None:
    for name in _WORKFLOW_TYPES:
        query = f"WorkflowType = '{name}' AND {of_this_worker} GROUP BY ExecutionStatus"
        try:
            count = await client.count_workflows(query)
        except RPCError:
            return
        gauges.workflows[name] = {str(group.group_values[0]): group.count for group in count.groups}
