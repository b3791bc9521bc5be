"""The load: people sign in through two workers, Temporal is killed and restarted, and one workflow fails its tasks."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from deploy.grafana.panels import INSTANCES, PANELS
from deploy.grafana.queries import Panel
from tests.dashboards.prometheus_server import LocalPrometheus, Series
from tests.faults.servers import Servers, running_servers
from tests.faults.stage import Scale, Stage, open_stage
from workflows.names import SIGN_IN_WORKFLOW

_ARRIVAL_S: Final = 0.25
_CALM_S: Final = 25
_OUTAGE_S: Final = 8
_STEP_S: Final = 1
_RATE_INTERVAL: Final = "10s"
_SETTLE_S: Final = 4  # until the last events are scraped and included in rates

Say = Callable[[str], None]


@dataclass
class Filled:
    """A panel with the lines that answer each of its queries, in order."""

    panel: Panel
    answers: list[list[Series]]

    @property
    def series(self) -> list[Series]:
        """All lines."""
        return [series for answer in self.answers for series in answer]

    @property
    def trouble(self) -> list[str]:
        """The problems: queries without an answer, or a panel that shows only zeros."""
        empty = [query.expression for query, answer in zip(self.panel.queries, self.answers, strict=True) if not answer]
        found = [f"{self.panel.title}: no answer to {expression}" for expression in empty]
        if not empty and max(series.highest for series in self.series) <= 0:
            found.append(f"{self.panel.title}: only zeros")
        return found


@dataclass
class Measured:
    """The results of a run. ``away`` is when Temporal was down: begin and end."""

    begin: float = 0
    end: float = 0
    away: tuple[float, float] = (0, 0)
    people: int = 0
    prometheus: str = ""
    filled: list[Filled] = field(default_factory=list)
    rules: list[dict[str, Any]] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)


async def measure(say: Say) -> Measured:
    """Run the load, then ask Prometheus every query. Raises ``StackError``."""
    found = Measured()

    async with AsyncExitStack() as exits:
        servers = await exits.enter_async_context(running_servers())
        scene = await exits.enter_async_context(open_stage(servers, Scale(), {}))
        prometheus = LocalPrometheus()
        exits.push_async_callback(asyncio.to_thread, prometheus.stop)
        workers = [scene.new_worker(), scene.new_worker()]
        addresses = [worker.metrics_url.split("/")[2] for worker in workers]
        await asyncio.to_thread(prometheus.start, addresses)

        found.begin = time.time()
        for worker in workers:
            await worker.start()

        await _run_load(scene, servers, found, say)
        found.end = time.time()
        found.people = scene.crowd.size
        found.trouble += scene.crowd.problems

        say("asking Prometheus …")
        await asyncio.to_thread(_ask, prometheus, found)

    return found


async def _run_load(scene: Stage, servers: Servers, found: Measured, say: Say) -> None:
    say(f"people sign in, one every {_ARRIVAL_S} s …")
    async with scene.crowd.arriving(_ARRIVAL_S):
        unreadable = await scene.temporal.start_workflow(
            SIGN_IN_WORKFLOW, "no request", id="signin/unreadable/1", task_queue=scene.topics.task_queue
        )
        await asyncio.sleep(_CALM_S)

        say("Temporal is killed …")
        gone = time.time()
        await servers.kill_temporal()
        await asyncio.sleep(_OUTAGE_S)
        await servers.restart_temporal()
        found.away = gone, time.time()

        await scene.wait_until_recovered()
        say("Temporal is back …")
        await asyncio.sleep(_CALM_S)

    await unreadable.terminate()
    await scene.crowd.wait_until_done()
    await asyncio.sleep(_SETTLE_S)


def _ask(prometheus: LocalPrometheus, found: Measured) -> None:
    def ask(expression: str) -> list[Series]:
        return prometheus.query_range(as_asked(expression), found.begin, found.end, _STEP_S)

    found.filled = [Filled(panel, [ask(query.expression) for query in panel.queries]) for panel in PANELS]
    found.rules = prometheus.rules()
    found.prometheus = prometheus.version()
    found.trouble += [problem for filled in found.filled for problem in filled.trouble]
    found.trouble += [f"{rule['name']}: {rule.get('lastError')}" for rule in found.rules if rule["health"] != "ok"]
    if not ask(INSTANCES):
        found.trouble.append("there is no instance to choose from")


def as_asked(expression: str) -> str:
    """Return an expression as Grafana sends it: with all instances chosen, and rates over a few scrapes."""
    return expression.replace("$__rate_interval", _RATE_INTERVAL).replace("$instance", ".*")
