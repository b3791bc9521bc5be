"""Servers that are down, frozen, slow, or rate limited."""

import asyncio
from typing import Final

from tests.faults.case import Case
from tests.faults.people import signs_in, waits
from tests.faults.servers import freeze, thaw
from tests.faults.stage import Stage

MAX_WAITING: Final = 400  # people who wait for the end of an outage


async def temporal_killed(stage: Stage) -> str:
    """Kill Temporal while people keep coming, and restart it with the state it had."""
    stage.crowd.max_at_once = MAX_WAITING
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)
        await stage.servers.kill_temporal()
        await last(stage, stage.scale.outage_s)
        await stage.servers.restart_temporal()
        await stage.wait_until_recovered()
        await asyncio.sleep(stage.scale.pause_s)

    return f"down for {stage.scale.outage_s:.0f} s"


async def temporal_frozen(stage: Stage) -> str:
    """Freeze Temporal: connections stay open, but nothing answers."""
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)
        freeze(*stage.servers.temporal.processes)
        await last(stage, min(stage.scale.outage_s, 60))
        thaw(*stage.servers.temporal.processes)
        await stage.wait_until_recovered()

    return f"frozen for {min(stage.scale.outage_s, 60):.0f} s"


async def temporal_slow(stage: Stage) -> str:
    """Delay every frame by a quarter of a second in each direction."""
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        stage.servers.temporal_proxy.delay_s = 0.25
        await asyncio.sleep(2 * stage.scale.pause_s)
        stage.servers.temporal_proxy.delay_s = 0
        await stage.wait_until_recovered()

    return "0.25 s more each way"


async def temporal_rate_limited(stage: Stage) -> str:
    """Let Temporal accept only a few calls per second."""
    await stage.servers.kill_temporal()
    await stage.servers.restart_temporal({"frontend.namespaceRPS": "20", "frontend.namespaceBurstRatio": "1.0"})
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s / 4, [signs_in]):
        await asyncio.sleep(2 * stage.scale.pause_s)

    await stage.servers.kill_temporal()
    await stage.servers.restart_temporal()
    await stage.wait_until_recovered()

    return "20 calls a second, while five times as many were made"


async def broker_restarted(stage: Stage) -> str:
    """Kill the only broker and restart it, several times."""
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        for _ in range(stage.scale.rounds):
            await asyncio.sleep(stage.scale.pause_s)
            await stage.servers.kill_kafka()
            await stage.servers.restart_kafka()
            await stage.wait_until_recovered()

    return f"killed and restarted {stage.scale.rounds} times"


async def brokers_away(stage: Stage) -> str:
    """Take all brokers down for minutes: results wait in workflows and are published once the brokers are back."""
    stage.crowd.max_at_once = MAX_WAITING
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)
        stage.crowd.start(waits(stage.scale.outage_s))
        await stage.servers.kill_kafka()
        await last(stage, stage.scale.outage_s)
        await stage.servers.restart_kafka()
        await stage.wait_until_recovered()

    return f"down for {stage.scale.outage_s:.0f} s"


async def last(stage: Stage, seconds: float) -> None:
    """Let an outage last this long, and check that the workers survive it."""
    await asyncio.sleep(seconds)
    for worker in stage.workers:
        assert worker.process.running, f"a worker ended during the outage:\n{worker.process.last_output()}"


CASES = (
    Case("temporal-killed", "Temporal killed, then restarted with its state", temporal_killed, may_expire=True),
    Case("temporal-frozen", "Temporal frozen (SIGSTOP), then thawed", temporal_frozen),
    Case("temporal-slow", "half a second more for every round trip to Temporal", temporal_slow),
    Case("temporal-rate-limited", "Temporal limited to 20 calls a second", temporal_rate_limited),
    Case("broker-restart", "the only broker killed and restarted", broker_restarted),
    Case("brokers-away", "all brokers down", brokers_away, may_expire=True),
)
