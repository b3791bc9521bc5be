"""Servers that are away, frozen, slow, or ask to slow down."""

import asyncio

from tests.faults.case import Case
from tests.faults.people import signs_in, waits
from tests.faults.servers import freeze, thaw
from tests.faults.stage import Stage

_MANY = 400  # they wait for the end of an outage


async def temporal_killed(stage: Stage) -> str:
    """Kill Temporal under load; people keep coming; start it again with the state it had."""
    stage.crowd.most = _MANY
    await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)
        await stage.servers.kill_temporal()
        await _spend(stage, stage.scale.outage_s)
        await stage.servers.revive_temporal()
        await stage.recovered()
        await asyncio.sleep(stage.scale.pause_s)

    return f"away for {stage.scale.outage_s:.0f} s"


async def temporal_frozen(stage: Stage) -> str:
    """Freeze Temporal: connections stay, nothing answers."""
    await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)
        freeze(stage.servers.temporal.process)
        await _spend(stage, min(stage.scale.outage_s, 60))
        thaw(stage.servers.temporal.process)
        await stage.recovered()

    return f"frozen for {min(stage.scale.outage_s, 60):.0f} s"


async def temporal_slow(stage: Stage) -> str:
    """Add half a second to each direction's every frame."""
    await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s):
        stage.servers.temporal_proxy.delay_s = 0.25
        await asyncio.sleep(2 * stage.scale.pause_s)
        stage.servers.temporal_proxy.delay_s = 0
        await stage.recovered()
    return "0.25 s more each way"


async def temporal_rate_limited(stage: Stage) -> str:
    """Let Temporal take a few calls a second only."""
    await stage.servers.kill_temporal()
    await stage.servers.revive_temporal({"frontend.namespaceRPS": "20", "frontend.namespaceBurstRatio": "1.0"})
    await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s / 4, [signs_in]):
        await asyncio.sleep(2 * stage.scale.pause_s)

    await stage.servers.kill_temporal()
    await stage.servers.revive_temporal()
    await stage.recovered()

    return "20 calls a second, for five times as many"


async def broker_restarted(stage: Stage) -> str:
    """Kill the only broker and start it again, several times."""
    await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s):
        for _ in range(stage.scale.rounds):
            await asyncio.sleep(stage.scale.pause_s)
            await stage.servers.kill_kafka()
            await stage.servers.revive_kafka()
            await stage.recovered()

    return f"killed and started again, {stage.scale.rounds} times"


async def brokers_away(stage: Stage) -> str:
    """Take all brokers away for minutes; results wait in workflows, then come out by themselves."""
    stage.crowd.most = _MANY
    await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)
        stage.crowd.send(waits(stage.scale.outage_s))
        await stage.servers.kill_kafka()
        await _spend(stage, stage.scale.outage_s)
        await stage.servers.revive_kafka()
        await stage.recovered()

    return f"away for {stage.scale.outage_s:.0f} s"


async def _spend(stage: Stage, seconds: float) -> None:
    """Let an outage last, and make sure that the worker outlives it."""
    await asyncio.sleep(seconds)
    for worker in stage.workers:
        assert worker.process.running, f"the worker ended during the outage:\n{worker.process.last_output()}"


CASES = (
    Case("temporal-killed", "Temporal killed, then started again with its state", temporal_killed, may_expire=True),
    Case("temporal-frozen", "Temporal frozen (SIGSTOP), then thawed", temporal_frozen),
    Case("temporal-slow", "half a second more for every round trip to Temporal", temporal_slow),
    Case("temporal-rate-limited", "Temporal limited to 20 calls a second", temporal_rate_limited),
    Case("broker-restart", "the only broker killed and started again", broker_restarted),
    Case("brokers-away", "all brokers away", brokers_away, may_expire=True),
)
