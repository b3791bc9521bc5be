"""Temporal as it runs in production loses its database, or one of its services."""

import asyncio
from typing import Final

from tests.faults.case import Case
from tests.faults.cases.outages import MAX_WAITING, last
from tests.faults.stage import Stage

_RESTARTED_AFTER_S: Final = 5  # as soon as an orchestrator does it
_BACK_OFF_S: Final = (
    300  # how late a history service may take up a step again (taskResourceExhaustedRescheduleMaxInterval)
)


async def database_killed(stage: Stage) -> str:
    """Kill PostgreSQL while people keep coming, and start it again with the data it had.

    Services that end meanwhile are started again, as an orchestrator would. Steps that were under way when the
    database was lost wait longest: the services retry them with a back-off that has grown during the outage.
    """
    cluster = stage.servers.cluster
    stage.crowd.max_at_once = MAX_WAITING
    stage.patience_s += _BACK_OFF_S
    await stage.start_worker()

    async with stage.crowd.arriving(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)
        await asyncio.to_thread(cluster.database.kill)
        await last(stage, stage.scale.outage_s)
        await asyncio.to_thread(cluster.database.start_again)
        ended = sum(not service.running for service in cluster.processes)
        await stage.servers.restart_temporal()
        await stage.wait_until_recovered()
        await asyncio.sleep(stage.scale.pause_s)

    return f"down for {stage.scale.outage_s:.0f} s; {ended} of Temporal's services had ended"


async def history_service_killed(stage: Stage) -> str:
    """Kill the history service, which holds all shards, and start it again, several times."""
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        for _ in range(stage.scale.rounds):
            await asyncio.sleep(stage.scale.pause_s)
            await asyncio.to_thread(stage.servers.cluster.kill_service, "history")
            await asyncio.sleep(_RESTARTED_AFTER_S)
            await stage.servers.restart_temporal()
            await stage.wait_until_recovered()

    return f"killed and restarted {stage.scale.rounds} times"


CASES = (
    Case(
        "database-killed",
        "Temporal's database killed, then restarted with its data",
        database_killed,
        may_expire=True,
        on_cluster=True,
    ),
    Case(
        "history-service-killed",
        "Temporal's history service killed and restarted",
        history_service_killed,
        on_cluster=True,
    ),
)
