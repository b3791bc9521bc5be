"""An unclean election: a broker leads that has missed records which the worker has already handled."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka.errors import KafkaError

from deploy.local.worker import LocalWorker
from tests.faults import gauges
from tests.faults.case import Case
from tests.faults.cluster_admin import ClusterAdmin
from tests.faults.evidence import end_offsets
from tests.faults.people import signs_in
from tests.faults.stage import Stage

_BROKERS: Final = 3
_AT_ONCE_AFTERWARDS: Final = 6
_LOST: Final = 60  # so that those who come at once do not make the log longer than it was (docs/adr/0022, "Not taken")

Offsets = Mapping[tuple[str, int], int]


async def unclean_election(stage: Stage) -> str:
    """Shut down one of two replicas, kill the other one after more requests, and let the first one lead."""
    admin = ClusterAdmin(stage.bootstrap_servers)
    topic, _ = stage.topics.inbound
    leader, follower, _ = stage.servers.kafka.nodes
    await _keep_on_two(stage, admin, topic, leader.number, follower.number)
    worker = await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s / 2, [signs_in]):
        await asyncio.sleep(2 * stage.scale.pause_s)

    kept = await _ends_once_done(stage, topic)
    await asyncio.to_thread(follower.shut_down)
    _let_people_sign_in(stage, _LOST)
    handled = await _ends_once_done(stage, topic)

    await asyncio.to_thread(leader.kill)
    await asyncio.to_thread(follower.start)
    await _until_leads(stage, admin, topic, follower.number)
    await stage.upstream.start_anew()
    _let_people_sign_in(stage, _AT_ONCE_AFTERWARDS)
    shorter = [place for place, end in handled.items() if kept.get(place, 0) < end]
    await _until_noticed(stage, worker, topic, len(shorter))

    async with stage.crowd.arriving(stage.scale.every_s / 2, [signs_in]):
        await asyncio.sleep(2 * stage.scale.pause_s)
        await asyncio.to_thread(leader.start)

    await stage.crowd.wait_until_done()
    await asyncio.to_thread(stage.servers.kafka.wait_until_in_sync)
    await stage.wait_until_exactly_committed()
    assert worker.process.running, worker.process.last_output()

    lost = sum(handled.values()) - sum(kept.values())
    return f"{lost} handled requests gone from {len(shorter)} partitions, all noticed; what came then was read"


async def _keep_on_two(stage: Stage, admin: ClusterAdmin, topic: str, leader: int, follower: int) -> None:
    await admin.allow_unclean_elections(topic)
    await admin.place(topic, (leader, follower))
    await _until_leads(stage, admin, topic, leader)
    await asyncio.to_thread(stage.servers.kafka.wait_until_in_sync)


async def _until_leads(stage: Stage, admin: ClusterAdmin, topic: str, node: int) -> None:
    async def leads_all() -> bool:
        try:
            leaders = await admin.leaders([topic])
        except KafkaError:  # the client may ask a broker that is away
            return False
        return set(leaders.values()) == {node}

    await stage.eventually(leads_all, f"node {node} leads the topic")


async def _until_noticed(stage: Stage, worker: LocalWorker, topic: str, partitions: int) -> None:
    async def noticed() -> bool:
        return await gauges.replaced_logs(worker, topic) >= partitions

    await stage.eventually(noticed, f"the worker has noticed {partitions} shorter logs")


def _let_people_sign_in(stage: Stage, people: int) -> None:
    for _ in range(people):
        stage.crowd.start(signs_in)


async def _ends_once_done(stage: Stage, topic: str) -> Offsets:
    """Wait until everybody has finished and all records are done; return the ends of the topic's partitions."""
    await stage.crowd.wait_until_done()
    await stage.wait_until_recovered()
    ends = await end_offsets(stage.bootstrap_servers, stage.topics)
    return {place: end for place, end in ends.items() if place[0] == topic}


CASES: Final[Sequence[Case]] = (
    Case("unclean-election", "a broker leads that has missed handled records", unclean_election, brokers=_BROKERS),
)
