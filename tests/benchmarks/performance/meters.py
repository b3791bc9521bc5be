"""Reads CPU, memory, calls and history from processes and servers, before and after a load."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx
import psutil  # type: ignore[import-untyped]  # has no types
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

_MIB: Final = 1024 * 1024
_CALL: Final = re.compile(
    r'^service_requests\{namespace="default",operation="(\w+)",service_name="frontend"\} (\S+)$',
    re.MULTILINE,
)
_POLLS: Final = frozenset({"PollWorkflowTaskQueue", "PollActivityTaskQueue"})
_NOT_OURS: Final = frozenset({"RecordWorkerHeartbeat", "DescribeNamespace"})


@dataclass
class Reading:
    """CPU seconds of each process, and how often each of the server's calls was made."""

    cpu_s: Mapping[str, float]
    calls: Counter[str]


@dataclass
class Cost:
    """The cost of one sign-in."""

    cpu_ms: dict[str, float]
    calls: dict[str, float]
    memory_mib: dict[str, float]
    events: float = 0
    history_bytes: float = 0
    workflow_tasks: float = field(default=0)


class Meters:
    """Reads the processes of one way. Processes under the same name are added up.

    The server's metrics page is a megabyte, so it is read outside the measured period.
    """

    def __init__(self, processes: Mapping[str, Sequence[psutil.Process]], metrics_url: str) -> None:
        self._processes = dict(processes)
        self.metrics_url = metrics_url

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds used so far."""
        return {name: sum(map(_cpu_s, processes)) for name, processes in self._processes.items()}

    def memory_mib(self) -> dict[str, float]:
        """Return the resident sets."""
        return {
            name: sum(process.memory_info().rss for process in processes) / _MIB
            for name, processes in self._processes.items()
        }

    def cost(self, before: Reading, after: Reading, signins: int) -> Cost:
        """Return the cost of a sign-in between two readings."""
        calls = after.calls - before.calls
        return Cost(
            {name: (after.cpu_s[name] - before.cpu_s[name]) * 1e3 / signins for name in after.cpu_s},
            {name: count / signins for name, count in calls.items() if name not in _NOT_OURS},
            self.memory_mib(),
        )


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def server_calls(metrics_url: str) -> Counter[str]:
    """Return how often each of the server's calls has been made so far."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        page = (await client.get(metrics_url)).text
    return Counter({name: int(float(count)) for name, count in _CALL.findall(page)})


def made_calls(calls: Mapping[str, float]) -> float:
    """Return the number of calls without polls, which an idle worker makes too."""
    return sum(count for name, count in calls.items() if name not in _POLLS)


async def history(client: Client, workflow_ids: list[str]) -> tuple[int, int, int]:
    """Return the number of events, bytes and workflow tasks in the histories of one sign-in's workflows."""
    events = size = tasks = 0
    for workflow_id in workflow_ids:
        handle = client.get_workflow_handle(workflow_id)
        description = await handle.describe()
        events += description.history_length
        size += description.raw_description.workflow_execution_info.history_size_bytes

        async for event in handle.fetch_history_events():
            tasks += event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED

    return events, size, tasks
