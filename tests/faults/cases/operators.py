"""What operators do: rotate keys, forget keys, name a namespace that is not there, stop the worker at a bad moment."""

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
    """Rotate both rings in two steps, as SECURITY asks for: appended everywhere first, then moved to the front."""
    workers = [await stage.start_worker(), await stage.start_worker()]
    old = {ring: stage.settings[ring] for ring in _RINGS}
    new = {ring: f"new:{new_key()}" for ring in _RINGS}

    async with stage.crowd.coming(stage.scale.every_s):
        stage.crowd.send(waits(3 * stage.scale.pause_s))  # typed under the new key, issued under the old one
        for step in (
            {ring: f"{old[ring]},{new[ring]}" for ring in _RINGS},
            {ring: f"{new[ring]},{old[ring]}" for ring in _RINGS},
        ):
            for worker in workers:
                await stage.terminate(worker)
                worker.settings.update(step)
                await worker.start()
                await asyncio.sleep(stage.scale.pause_s / 2)
        await stage.recovered()

    await stage.crowd.gone()
    await stage.hold_keys(f"{new['SIGNIN_KEYS__PAYLOAD']},{old['SIGNIN_KEYS__PAYLOAD']}")

    return "two workers, two steps, under load"


async def unknown_key(stage: Stage) -> str:
    """Deploy a worker that lacks the keys in use: what it cannot read waits until it has them."""
    worker = await stage.start_worker()
    own = {ring: stage.settings[ring] for ring in _RINGS}
    async with stage.crowd.coming(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)

    await stage.crowd.gone()
    waiting = [stage.crowd.send(waits(2 * stage.scale.pause_s)) for _ in range(3)]
    await asyncio.sleep(stage.scale.pause_s / 2)
    await stage.terminate(worker)
    foreign = {ring: f"foreign:{new_key()}" for ring in _RINGS}
    worker.settings.update(foreign)
    await worker.start()
    await asyncio.sleep(2 * stage.scale.pause_s)
    await stage.terminate(worker)
    worker.settings.update({ring: f"{own[ring]},{foreign[ring]}" for ring in _RINGS})
    since = time.monotonic()
    await worker.start()
    await asyncio.gather(*waiting)
    await stage.recovered(since)
    await stage.hold_keys(f"{own['SIGNIN_KEYS__PAYLOAD']},{foreign['SIGNIN_KEYS__PAYLOAD']}")

    return f"{len(waiting)} people waited for {2 * stage.scale.pause_s:.0f} s and more"


async def namespace_missing(stage: Stage) -> str:
    """Start the worker with a namespace that is not there, then create it."""
    worker = stage.new_worker()
    worker.launch()
    for _ in range(4):
        stage.crowd.send(signs_in)

    await asyncio.sleep(max(6, stage.scale.pause_s))

    assert worker.process.running, worker.process.last_output()
    assert not await stage.committed(), "offsets were committed, though nothing can have been applied"

    await _register(stage)
    await stage.recovered()

    return "nothing committed, nothing dead-lettered until it was there"


async def _register(stage: Stage) -> None:
    retention = Duration()
    retention.FromTimedelta(timedelta(days=1))
    request = RegisterNamespaceRequest(namespace=_NAMESPACE, workflow_execution_retention_period=retention)
    await stage.temporal.workflow_service.register_namespace(request)


Trouble = Callable[[Stage], Awaitable[Callable[[], Awaitable[None]]]]
"""Begins a fault and returns what ends it."""


async def _none(stage: Stage) -> Callable[[], Awaitable[None]]:
    return lambda: asyncio.sleep(0)


async def _temporal_frozen(stage: Stage) -> Callable[[], Awaitable[None]]:
    freeze(stage.servers.temporal.process)

    async def end() -> None:
        thaw(stage.servers.temporal.process)

    return end


async def _temporal_away(stage: Stage) -> Callable[[], Awaitable[None]]:
    await stage.servers.kill_temporal()
    return stage.servers.revive_temporal


async def _broker_away(stage: Stage) -> Callable[[], Awaitable[None]]:
    await stage.servers.kill_kafka()
    return stage.servers.revive_kafka


async def _broker_frozen(stage: Stage) -> Callable[[], Awaitable[None]]:
    freeze(stage.servers.kafka.process)

    async def end() -> None:
        thaw(stage.servers.kafka.process)

    return end


async def _rebalance(stage: Stage) -> Callable[[], Awaitable[None]]:
    other = stage.new_worker()
    other.launch()
    await asyncio.sleep(1.5)  # it joins about now

    async def end() -> None:
        await stage.terminate(other)

    return end


async def _flood(stage: Stage) -> Callable[[], Awaitable[None]]:
    garbage = (stage.wire.poison(stage.topics.requested, b"garbage") for _ in range(min(stage.scale.flood, 500)))
    await asyncio.gather(*garbage)
    return lambda: asyncio.sleep(0)


async def _starting(stage: Stage) -> Callable[[], Awaitable[None]]:
    worker = stage.workers[0]
    await stage.terminate(worker)
    worker.launch()
    await asyncio.sleep(1)
    return lambda: asyncio.sleep(0)


_TROUBLES: Final[dict[str, Trouble]] = {
    "under load": _none,
    "starting": _starting,
    "Temporal frozen": _temporal_frozen,
    "Temporal away": _temporal_away,
    "broker frozen": _broker_frozen,
    "broker away": _broker_away,
    "rebalancing": _rebalance,
    "flooded": _flood,
}
_PROMISED_S: Final = 30


async def terminated(stage: Stage) -> str:
    """Send SIGTERM in the middle of each trouble: it ends within 30 s, with 0, and nothing is lost."""
    worker = await stage.start_worker()
    seen = []
    async with stage.crowd.coming(stage.scale.every_s):
        for name, trouble in _TROUBLES.items():
            await asyncio.sleep(2)
            end = await trouble(stage)
            await asyncio.sleep(1)
            seen.append(f"{name} {await _ended(stage, worker, name)}")
            await end()
            since = time.monotonic()
            await worker.start()
            await stage.recovered(since)

    return "exit codes: " + ", ".join(seen)


async def _ended(stage: Stage, worker: LocalWorker, trouble: str) -> str:
    begun = time.monotonic()
    code = await asyncio.to_thread(worker.process.end)
    took_s = time.monotonic() - begun
    words = f"{trouble}: exit {code} after {took_s:.1f} s\n{worker.process.last_output()}"
    # Before it listens to signals, it ends as any process does.
    assert code in ({0, 143} if trouble == "starting" else {0}) and took_s < _PROMISED_S, words
    return f"{code} after {took_s:.1f} s"


CASES = (
    Case("sigterm", "SIGTERM in the middle of each of: " + ", ".join(_TROUBLES), terminated, within_s=1_500),
    Case("key-rotation", "both key rings rotated in two steps", key_rotation),
    Case("unknown-key", "a worker without the keys in use", unknown_key),
    Case(
        "namespace-missing", "Temporal's namespace is not there", namespace_missing, {"TEMPORAL_NAMESPACE": _NAMESPACE}
    ),
)
