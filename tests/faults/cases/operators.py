"""Operators: they rotate keys, forget keys, name a missing namespace, or stop the worker at a bad moment."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest

from deploy.local.worker import LocalWorker, new_key
from tests.faults.case import Case
from tests.faults.people import signs_in, waits
from tests.faults.servers import freeze, thaw
from tests.faults.stage import Stage

_RINGS: Final = ("SIGNIN_KEYS__CODE", "SIGNIN_KEYS__PAYLOAD")
_NAMESPACE: Final = "not-there-yet"


async def key_rotation(stage: Stage) -> str:
    """Rotate both key rings as SECURITY asks: append the new key everywhere, then move it to the front everywhere."""
    workers = [await stage.start_worker(), await stage.start_worker()]
    old = {ring: stage.settings[ring] for ring in _RINGS}
    new = {ring: f"new:{new_key()}" for ring in _RINGS}

    appended = {ring: f"{old[ring]},{new[ring]}" for ring in _RINGS}
    moved_to_front = {ring: f"{new[ring]},{old[ring]}" for ring in _RINGS}

    async with stage.crowd.arriving(stage.scale.every_s):
        stage.crowd.start(waits(3 * stage.scale.pause_s))  # issued under the old key, submitted under the new one
        for step in (appended, moved_to_front):
            for worker in workers:
                await stage.terminate(worker)
                worker.settings.update(step)
                await worker.start()
                await asyncio.sleep(stage.scale.pause_s / 2)
        await stage.wait_until_recovered()

    await stage.crowd.wait_until_done()
    await stage.read_with_keys(moved_to_front["SIGNIN_KEYS__PAYLOAD"])

    return "two workers, two steps, under load"


async def unknown_key(stage: Stage) -> str:
    """Deploy a worker without the keys in use: what it cannot decrypt waits until it has them."""
    worker = await stage.start_worker()
    own = {ring: stage.settings[ring] for ring in _RINGS}
    async with stage.crowd.arriving(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)

    await stage.crowd.wait_until_done()
    waiting = [stage.crowd.start(waits(2 * stage.scale.pause_s)) for _ in range(3)]
    await asyncio.sleep(stage.scale.pause_s / 2)
    await stage.terminate(worker)

    foreign = {ring: f"foreign:{new_key()}" for ring in _RINGS}
    worker.settings.update(foreign)
    await worker.start()
    await asyncio.sleep(2 * stage.scale.pause_s)
    await stage.terminate(worker)

    both = {ring: f"{own[ring]},{foreign[ring]}" for ring in _RINGS}
    worker.settings.update(both)
    since = time.monotonic()
    await worker.start()
    await asyncio.gather(*waiting)
    await stage.wait_until_recovered(since)
    await stage.read_with_keys(both["SIGNIN_KEYS__PAYLOAD"])

    return f"{len(waiting)} people waited for {2 * stage.scale.pause_s:.0f} s or longer"


async def namespace_missing(stage: Stage) -> str:
    """Start the worker with a namespace that does not exist, then create it."""
    worker = stage.new_worker()
    worker.launch()
    for _ in range(4):
        stage.crowd.start(signs_in)

    await asyncio.sleep(max(6, stage.scale.pause_s))

    assert worker.process.running, worker.process.last_output()
    assert not await stage.committed_offsets(), "offsets were committed, although nothing can have been applied"

    await _register(stage)
    await stage.wait_until_recovered()

    return "nothing was committed or dead-lettered until it existed"


async def _register(stage: Stage) -> None:
    retention = Duration()
    retention.FromTimedelta(timedelta(days=1))
    request = RegisterNamespaceRequest(namespace=_NAMESPACE, workflow_execution_retention_period=retention)
    await stage.temporal.workflow_service.register_namespace(request)


End = Callable[[], Awaitable[None]]
"""Ends a situation."""

Situation = Callable[[Stage], Awaitable[End]]
"""Brings a situation about and returns the call that ends it."""


async def _nothing_to_end() -> None:
    pass


async def _no_fault(stage: Stage) -> End:
    return _nothing_to_end


async def _temporal_frozen(stage: Stage) -> End:
    freeze(*stage.servers.temporal.processes)

    async def end() -> None:
        thaw(*stage.servers.temporal.processes)

    return end


async def _temporal_down(stage: Stage) -> End:
    await stage.servers.kill_temporal()
    return stage.servers.restart_temporal


async def _broker_down(stage: Stage) -> End:
    await stage.servers.kill_kafka()
    return stage.servers.restart_kafka


async def _broker_frozen(stage: Stage) -> End:
    freeze(stage.servers.kafka.process)

    async def end() -> None:
        thaw(stage.servers.kafka.process)

    return end


async def _rebalance(stage: Stage) -> End:
    other = stage.new_worker()
    other.launch()
    await asyncio.sleep(1.5)  # it joins about now

    async def end() -> None:
        await stage.terminate(other)

    return end


async def _flood(stage: Stage) -> End:
    await stage.emit_garbage(min(stage.scale.flood, 500))
    return _nothing_to_end


async def _starting(stage: Stage) -> End:
    worker = stage.workers[0]
    await stage.terminate(worker)
    worker.launch()
    await asyncio.sleep(1)
    return _nothing_to_end


_SITUATIONS: Final[dict[str, Situation]] = {
    "under load": _no_fault,
    "starting": _starting,
    "Temporal frozen": _temporal_frozen,
    "Temporal down": _temporal_down,
    "broker frozen": _broker_frozen,
    "broker down": _broker_down,
    "rebalancing": _rebalance,
    "flooded": _flood,
}
_EXIT_WITHIN_S: Final = 30


async def terminate_in_each_situation(stage: Stage) -> str:
    """Send SIGTERM in each situation: the worker exits with 0 within 30 s, and nothing is lost."""
    worker = await stage.start_worker()
    exits = []
    async with stage.crowd.arriving(stage.scale.every_s):
        for name, situation in _SITUATIONS.items():
            await asyncio.sleep(2)
            end = await situation(stage)
            await asyncio.sleep(1)
            exits.append(f"{name} {await _terminate(worker, name)}")
            await end()

            since = time.monotonic()
            await worker.start()
            await stage.wait_until_recovered(since)

    return "exit codes: " + ", ".join(exits)


async def _terminate(worker: LocalWorker, situation: str) -> str:
    begun = time.monotonic()
    code = await asyncio.to_thread(worker.process.end)
    took_s = time.monotonic() - begun
    report = f"{situation}: exit {code} after {took_s:.1f} s\n{worker.process.last_output()}"

    # A process that is still starting may not have installed its signal handlers yet.
    allowed = {0, 143} if situation == "starting" else {0}
    assert code in allowed and took_s < _EXIT_WITHIN_S, report

    return f"{code} after {took_s:.1f} s"


CASES = (
    Case(
        "sigterm", "SIGTERM in each situation: " + ", ".join(_SITUATIONS), terminate_in_each_situation, within_s=1_500
    ),
    Case("key-rotation", "both key rings rotated in two steps", key_rotation),
    Case("unknown-key", "a worker without the keys in use", unknown_key),
    Case(
        "namespace-missing",
        "Temporal's namespace does not exist",
        namespace_missing,
        {"TEMPORAL_NAMESPACE": _NAMESPACE},
    ),
)
