"""Reads CPU, memory, calls, the database and history from processes and servers, before and after a load."""

import contextlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import httpx
import psutil  # type: ignore[import-untyped]  # has no types
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from deploy.local.servers.postgres import LocalPostgres
from deploy.local.servers.temporal_config import STORES

_MIB: Final = 1024 * 1024
_CALL: Final = re.compile(
    r'^service_requests\{namespace="default",operation="(\w+)",service_name="frontend"\} (\S+)$',
    re.MULTILINE,
)
_ACTION: Final = re.compile(r'^action\{action_type="(\w+)",namespace="default",[^}]*\} (\S+)$', re.MULTILINE)
_POLLS: Final = frozenset({"PollWorkflowTaskQueue", "PollActivityTaskQueue"})
_NOT_OURS: Final = frozenset({"RecordWorkerHeartbeat", "DescribeNamespace"})
_DATABASES: Final = ", ".join(f"'{name}'" for name in STORES)
_COUNTS: Final = f"""
SELECT sum(xact_commit + xact_rollback), sum(tup_inserted + tup_updated + tup_deleted),
  (SELECT wal_bytes FROM pg_stat_wal)
FROM pg_stat_database WHERE datname IN ({_DATABASES})"""


class Metered(Protocol):
    """Something that uses CPU and memory: a process, or a process with all its children."""

    def cpu_s(self) -> float:
        """Return the CPU seconds used so far."""
        ...

    def memory_bytes(self) -> int:
        """Return the resident set."""
        ...


class Alone:
    """A process without its children."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process

    def cpu_s(self) -> float:
        """Return the CPU seconds used so far."""
        return _cpu_s(self._process)

    def memory_bytes(self) -> int:
        """Return the resident set."""
        return int(self._process.memory_info().rss)


class Family:
    """A process with its children, also those that have ended: PostgreSQL has one for each connection."""

    def __init__(self, parent: psutil.Process) -> None:
        self._parent = parent

    def cpu_s(self) -> float:
        """Return the CPU seconds used so far."""
        ended = self._parent.cpu_times()
        total = _cpu_s(self._parent) + float(ended.children_user + ended.children_system)
        for child in self._parent.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += _cpu_s(child)

        return total

    def memory_bytes(self) -> int:
        """Return the resident set of the first process, which holds the shared memory."""
        return int(self._parent.memory_info().rss)


@dataclass
class Reading:
    """CPU seconds of each process, how often each of the server's calls was made, and the database's counts."""

    cpu_s: Mapping[str, float]
    calls: Counter[str]
    database: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Cost:
    """The cost of one sign-in."""

    cpu_ms: dict[str, float]
    calls: dict[str, float]
    memory_mib: dict[str, float]
    database: dict[str, float] = field(default_factory=dict)
    events: float = 0
    history_bytes: float = 0
    workflow_tasks: float = field(default=0)


class Meters:
    """Reads the processes of one way. Processes under the same name are added up.

    The server's metrics page is a megabyte, so it is read outside the measured period.
    """

    def __init__(
        self,
        processes: Mapping[str, Sequence[Metered]],
        metrics_url: str,
        database: LocalPostgres | None = None,
    ) -> None:
        self._processes = dict(processes)
        self._metrics_url = metrics_url
        self._database = database

    async def read(self) -> Reading:
        """Return all counts so far. The pages are read outside of the time between two readings of the CPU."""
        calls = await server_calls(self._metrics_url)
        database = database_counts(self._database) if self._database else {}
        return Reading(self.cpu_s(), calls, database)

    async def read_after(self) -> Reading:
        """Return all counts so far, the CPU first."""
        cpu_s = self.cpu_s()
        reading = await self.read()
        return Reading(cpu_s, reading.calls, reading.database)

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds used so far."""
        return {name: sum(one.cpu_s() for one in processes) for name, processes in self._processes.items()}

    def memory_mib(self) -> dict[str, float]:
        """Return the resident sets."""
        return {
            name: sum(one.memory_bytes() for one in processes) / _MIB for name, processes in self._processes.items()
        }

    def cost(self, before: Reading, after: Reading, signins: int) -> Cost:
        """Return the cost of a sign-in between two readings."""
        calls = after.calls - before.calls
        return Cost(
            {name: (after.cpu_s[name] - before.cpu_s[name]) * 1e3 / signins for name in after.cpu_s},
            {name: count / signins for name, count in calls.items() if name not in _NOT_OURS},
            self.memory_mib(),
            {name: (count - before.database[name]) / signins for name, count in after.database.items()},
        )


def database_counts(database: LocalPostgres) -> dict[str, float]:
    """Return what Temporal's databases have done so far. A connection counts its own work up to a second later."""
    ((transactions, rows, wal_bytes),) = database.query(_COUNTS)
    return {"transactions": float(transactions), "rows_written": float(rows), "wal_bytes": float(wal_bytes)}


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def server_calls(metrics_url: str) -> Counter[str]:
    """Return how often each of the server's calls has been made so far."""
    return await _counted(metrics_url, _CALL)


async def server_actions(metrics_url: str) -> Counter[str]:
    """Return how often each of the Actions that Temporal Cloud bills has been taken so far."""
    return await _counted(metrics_url, _ACTION)


async def _counted(metrics_url: str, pattern: re.Pattern[str]) -> Counter[str]:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        page = (await client.get(metrics_url)).text
    return Counter({name: int(float(count)) for name, count in pattern.findall(page)})


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
