"""The consumer group: rebalances, zombies, stalled fetchers, and offsets that somebody moved."""

import asyncio
import os
import time
from datetime import UTC, datetime
from typing import Final

from aiokafka import AIOKafkaConsumer

from deploy.local.worker import LocalWorker
from tests.faults import gauges
from tests.faults.case import Case
from tests.faults.proxy import FETCH, JOIN_GROUP, kafka_request, drop_nothing
from tests.faults.servers import freeze, thaw
from tests.faults.stage import Stage

_SESSION_S: Final = 6
_REBALANCE_S: Final = 30
_NOTICED_WITHIN_S: Final = 60
_SHORT_STALL_S: Final = 8


async def rebalance_storm(stage: Stage) -> str:
    """Let two of three workers take turns to leave and come back, every few seconds."""
    await asyncio.gather(*(stage.start_worker() for _ in range(3)))
    rounds = max(2, int(stage.scale.pause_s / 2))
    async with stage.crowd.arriving(stage.scale.every_s):
        for number in range(rounds):
            worker = stage.workers[1 + number % 2]
            assert (await stage.terminate(worker)).startswith("exit 0 "), worker.process.last_output()
            await worker.start()
        await stage.wait_until_recovered()

    return f"{2 * rounds} rebalances among three workers"


async def zombie(stage: Stage) -> str:
    """Freeze one of two workers for longer than its session, then let it wake up after others took over."""
    first, _ = await asyncio.gather(stage.start_worker(), stage.start_worker())
    async with stage.crowd.arriving(stage.scale.every_s):
        for _ in range(2):
            await asyncio.sleep(2)
            freeze(first.process)
            await asyncio.sleep(_SESSION_S + 5)
            thaw(first.process)
            await asyncio.sleep(5)
            await stage.wait_until_recovered()

    return f"frozen twice for {_SESSION_S + 5} s, with a session of {_SESSION_S} s"


async def offsets_reset(stage: Stage) -> str:
    """Stop the worker, reset the group to the beginning, and let it read everything again."""
    worker = await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s / 2):
        await asyncio.sleep(2 * stage.scale.pause_s)

    await stage.crowd.wait_until_done()
    await stage.wait_until_recovered()
    mails = len(stage.servers.mail_server.mails)
    results = await _end_of_results(stage)
    await stage.terminate(worker)

    reset_at = datetime.now(UTC)
    await stage.admin.commit(stage.topics.group_id, {place: 0 for place in await stage.committed_offsets()})
    await worker.start()
    await stage.wait_until_recovered()
    await asyncio.sleep(2)  # for a mail or a result that must not come

    new_mails = [mail for mail in stage.servers.mail_server.mails if mail.received_at > reset_at]
    new_results = await _end_of_results(stage) - results

    assert not new_mails, f"{len(new_mails)} mails after the reset"
    assert not new_results, f"{new_results} results after the reset"

    return f"{len(stage.ledger.entries)} records read again: {mails} mails before, none after"


async def _end_of_results(stage: Stage) -> int:
    reader = AIOKafkaConsumer(stage.topics.results, bootstrap_servers=stage.bootstrap_servers)
    await reader.start()
    try:
        return sum((await reader.end_offsets(list(reader.assignment()))).values())
    finally:
        await reader.stop()


async def offsets_below_the_start(stage: Stage) -> str:
    """Let retention delete records that the group has not read: it continues with those that are left."""
    worker = await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s / 2):
        await asyncio.sleep(stage.scale.pause_s)

    await stage.crowd.wait_until_done()
    await stage.wait_until_recovered()
    await stage.terminate(worker)
    done = await stage.committed_offsets()
    await stage.admin.delete_records(done)
    await stage.admin.commit(stage.topics.group_id, {place: 0 for place in done})

    return await _continue(stage, worker, "committed 0, but the partitions begin later")


async def offsets_above_the_end(stage: Stage) -> str:
    """Let the group's offsets point beyond the end: everything is read again, but nothing is done again."""
    worker = await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s / 2):
        await asyncio.sleep(stage.scale.pause_s)

    await stage.crowd.wait_until_done()
    await stage.wait_until_recovered()
    await stage.terminate(worker)
    done = await stage.committed_offsets()
    await stage.admin.commit(stage.topics.group_id, {place: offset + 1_000 for place, offset in done.items()})

    return await _continue(stage, worker, "committed 1,000 beyond the end")


async def _continue(stage: Stage, worker: LocalWorker, observed: str) -> str:
    await worker.start()
    async with stage.crowd.arriving(stage.scale.every_s / 2):
        await asyncio.sleep(stage.scale.pause_s)

    await stage.crowd.wait_until_done()
    await stage.wait_until_exactly_committed()
    return observed


async def fetcher_stalls(stage: Stage) -> str:
    """Drop all fetches, but let heartbeats pass, until the watchdog has rebuilt the consumer."""
    worker = await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)
        stage.servers.kafka_proxy.drops = kafka_request(FETCH)
        since = time.monotonic()

        async def rebuilt() -> bool:
            return await gauges.rebuilds(worker) == 1

        await stage.eventually(rebuilt, "the consumer is rebuilt", within_s=_NOTICED_WITHIN_S)
        noticed_s = time.monotonic() - since
        stage.servers.kafka_proxy.drops = drop_nothing
        await stage.wait_until_recovered()

    assert worker.process.running, worker.process.last_output()

    return f"noticed and rebuilt after {noticed_s:.0f} s"


async def fetcher_stalls_for_good(stage: Stage) -> str:
    """Drop all fetches until the worker exits, then restart it as an orchestrator would."""
    worker = await stage.start_worker(SIGNIN_CONSUMER__STALL_S=str(_SHORT_STALL_S))
    async with stage.crowd.arriving(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)
        stage.servers.kafka_proxy.drops = kafka_request(FETCH)
        since = time.monotonic()
        await stage.eventually(lambda: _ended(worker), "the worker ends", within_s=4 * _SHORT_STALL_S + _REBALANCE_S)
        took_s = time.monotonic() - since
        code = worker.process.end()

        assert code == os.EX_SOFTWARE, f"exit {code}"

        stage.servers.kafka_proxy.drops = drop_nothing
        since = time.monotonic()
        await worker.start()
        await stage.wait_until_recovered(since)

    return f"exit {code} after {took_s:.0f} s, with a stall of {_SHORT_STALL_S} s; started again"


async def _ended(worker: LocalWorker) -> bool:
    return not worker.process.running


async def rebalance_while_frozen(stage: Stage) -> str:
    """Let a worker join while Temporal is frozen: the others have to give up calls that nobody answers."""
    await asyncio.gather(stage.start_worker(), stage.start_worker())
    async with stage.crowd.arriving(stage.scale.every_s):
        await asyncio.sleep(2)
        freeze(*stage.servers.temporal.processes)
        await asyncio.sleep(2)
        stage.new_worker().launch()
        await asyncio.sleep(max(10, 2 * stage.scale.pause_s))
        thaw(*stage.servers.temporal.processes)
        await stage.wait_until_recovered()

    return "a third worker joined meanwhile"


async def late_to_rejoin(stage: Stage) -> str:
    """Let one of two workers rejoin too late, as if a callback took longer than the rebalance timeout."""
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        await asyncio.sleep(2)
        stage.servers.kafka_proxy.drops = kafka_request(JOIN_GROUP)
        stage.new_worker(SIGNIN_KAFKA__BOOTSTRAP_SERVERS=stage.bootstrap_servers).launch()
        await asyncio.sleep(_REBALANCE_S + 5)
        stage.servers.kafka_proxy.drops = drop_nothing
        await stage.wait_until_recovered()

    return f"it rejoined after more than {_REBALANCE_S} s, while its heartbeats continued"


CASES = (
    Case("rebalance-storm", "three workers, two of which keep leaving and coming back", rebalance_storm),
    Case("rebalance-frozen", "a rebalance while Temporal is frozen", rebalance_while_frozen),
    Case("rejoin-late", "a worker that is too late for a rebalance", late_to_rejoin),
    Case("zombie", "a worker frozen past its session, then thawed", zombie),
    Case("fetcher-stalls", "fetches are dropped, heartbeats are not, until the stall is noticed", fetcher_stalls),
    Case("fetcher-stalls-on", "the same, and the stall continues after the rebuild", fetcher_stalls_for_good),
    Case("offsets-reset", "the group's offsets reset to the beginning", offsets_reset),
    Case("offsets-below", "offsets before the partitions' start (retention)", offsets_below_the_start),
    Case("offsets-above", "offsets beyond the partitions' end", offsets_above_the_end),
)
