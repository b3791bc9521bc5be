"""The consumer group: rebalances, zombies, offsets that move."""

import asyncio
import os
import time
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer

from deploy.local.worker import LocalWorker
from tests.faults import gauges
from tests.faults.case import Case
from tests.faults.proxy import FETCH, JOIN_GROUP, asks_kafka, nothing
from tests.faults.servers import freeze, thaw
from tests.faults.stage import Stage

_SESSION_S = 10
_REBALANCE_S = 30
_NOTICED_WITHIN_S = 60
_SHORT_STALL_S = 8


async def rebalance_storm(stage: Stage) -> str:
    """Let two of three workers leave and come back, one every few seconds."""
    await asyncio.gather(*(stage.start_worker() for _ in range(3)))
    rounds = max(2, int(stage.scale.pause_s / 2))
    async with stage.crowd.coming(stage.scale.every_s):
        for number in range(rounds):
            worker = stage.workers[1 + number % 2]
            assert (await stage.terminate(worker)).startswith("exit 0 "), worker.process.last_output()
            await worker.start()
        await stage.recovered()

    return f"{2 * rounds} rebalances among three workers"


async def zombie(stage: Stage) -> str:
    """Freeze one of two workers for longer than its session, and let it wake among its successors."""
    first, _ = await asyncio.gather(stage.start_worker(), stage.start_worker())
    async with stage.crowd.coming(stage.scale.every_s):
        for _ in range(2):
            await asyncio.sleep(2)
            freeze(first.process)
            await asyncio.sleep(_SESSION_S + 5)
            thaw(first.process)
            await asyncio.sleep(5)
            await stage.recovered()

    return f"frozen twice for {_SESSION_S + 5} s, with a session of {_SESSION_S} s"


async def offsets_reset(stage: Stage) -> str:
    """Stop the worker, set the group back to the beginning, and let it read everything again."""
    worker = await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s / 2):
        await asyncio.sleep(2 * stage.scale.pause_s)

    await stage.crowd.gone()
    await stage.recovered()
    mails = len(stage.servers.mail_server.mails)
    results = await _end_of_results(stage)
    await stage.terminate(worker)
    before = datetime.now(UTC)
    await stage.admin.commit(stage.topics.group_id, {place: 0 for place in await stage.committed()})
    await worker.start()
    await stage.recovered()
    await asyncio.sleep(2)  # for what must not come: a mail, a result
    fresh = [mail for mail in stage.servers.mail_server.mails if mail.received_at > before]

    assert not fresh, f"{len(fresh)} mails after the reset"

    said = await _end_of_results(stage) - results

    assert not said, f"{said} results after the reset"

    return f"{len(stage.ledger.entries)} records read again: {mails} mails before, none after"


async def _end_of_results(stage: Stage) -> int:
    reader = AIOKafkaConsumer(stage.topics.results, bootstrap_servers=stage.servers.kafka.bootstrap_servers)
    await reader.start()
    try:
        return sum((await reader.end_offsets(list(reader.assignment()))).values())
    finally:
        await reader.stop()


async def offsets_below_the_start(stage: Stage) -> str:
    """Let the retention take records that the group has not read: it goes on with what is left."""
    worker = await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s / 2):
        await asyncio.sleep(stage.scale.pause_s)

    await stage.crowd.gone()
    await stage.recovered()
    await stage.terminate(worker)
    done = await stage.committed()
    await stage.admin.delete_records(done)
    await stage.admin.commit(stage.topics.group_id, {place: 0 for place in done})

    return await _go_on(stage, worker, "committed 0, but the partitions begin later")


async def offsets_above_the_end(stage: Stage) -> str:
    """Let the group's offsets point behind the end: all is read again, nothing is done again."""
    worker = await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s / 2):
        await asyncio.sleep(stage.scale.pause_s)

    await stage.crowd.gone()
    await stage.recovered()
    await stage.terminate(worker)
    done = await stage.committed()
    await stage.admin.commit(stage.topics.group_id, {place: offset + 1_000 for place, offset in done.items()})

    return await _go_on(stage, worker, "committed 1,000 behind the end")


async def _go_on(stage: Stage, worker: LocalWorker, what: str) -> str:
    await worker.start()
    async with stage.crowd.coming(stage.scale.every_s / 2):
        await asyncio.sleep(stage.scale.pause_s)
    await stage.crowd.gone()
    await stage.exactly_committed()
    return what


async def fetcher_stalls(stage: Stage) -> str:
    """Let no fetch reach Kafka, while heartbeats do, until the watchdog has rebuilt the consumer."""
    worker = await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)
        stage.servers.kafka_proxy.swallows = asks_kafka(FETCH)
        since = time.monotonic()

        async def rebuilt() -> bool:
            return await gauges.rebuilds(worker) == 1

        await stage.eventually(rebuilt, "the consumer is rebuilt", within_s=_NOTICED_WITHIN_S)
        noticed_s = time.monotonic() - since
        stage.servers.kafka_proxy.swallows = nothing
        await stage.recovered()

    assert worker.process.running, worker.process.last_output()

    return f"noticed and rebuilt after {noticed_s:.0f} s"


async def fetcher_stalls_for_good(stage: Stage) -> str:
    """Let fetches reach Kafka again only after the worker has ended itself, as an orchestrator would see it."""
    worker = await stage.start_worker(SIGNIN_CONSUMER__STALL_S=str(_SHORT_STALL_S))
    async with stage.crowd.coming(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)
        stage.servers.kafka_proxy.swallows = asks_kafka(FETCH)
        since = time.monotonic()
        await stage.eventually(lambda: _ended(worker), "the worker ends", within_s=4 * _SHORT_STALL_S + _REBALANCE_S)
        took_s = time.monotonic() - since
        code = worker.process.end()

        assert code == os.EX_SOFTWARE, f"exit {code}"

        stage.servers.kafka_proxy.swallows = nothing
        since = time.monotonic()
        await worker.start()
        await stage.recovered(since)

    return f"exit {code} after {took_s:.0f} s, with a stall of {_SHORT_STALL_S} s; started again"


async def _ended(worker: LocalWorker) -> bool:
    return not worker.process.running


async def rebalance_while_frozen(stage: Stage) -> str:
    """Let a worker join while Temporal is frozen: the others have to let go of calls that nobody answers."""
    await asyncio.gather(stage.start_worker(), stage.start_worker())
    async with stage.crowd.coming(stage.scale.every_s):
        await asyncio.sleep(2)
        freeze(stage.servers.temporal.process)
        await asyncio.sleep(2)
        stage.new_worker().launch()
        await asyncio.sleep(max(10, 2 * stage.scale.pause_s))
        thaw(stage.servers.temporal.process)
        await stage.recovered()

    return "a third worker joined meanwhile"


async def late_to_rejoin(stage: Stage) -> str:
    """Let one of two workers come too late to a rebalance, as with a callback slower than the rebalance timeout."""
    await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s):
        await asyncio.sleep(2)
        stage.servers.kafka_proxy.swallows = asks_kafka(JOIN_GROUP)
        stage.new_worker(SIGNIN_KAFKA__BOOTSTRAP_SERVERS=stage.servers.kafka.bootstrap_servers).launch()
        await asyncio.sleep(_REBALANCE_S + 5)
        stage.servers.kafka_proxy.swallows = nothing
        await stage.recovered()

    return f"its answer came after more than {_REBALANCE_S} s, heartbeats went on"


CASES = (
    Case("rebalance-storm", "three workers, of which two keep leaving and coming back", rebalance_storm),
    Case("rebalance-frozen", "a rebalance while Temporal is frozen", rebalance_while_frozen),
    Case("rejoin-late", "a worker too late for a rebalance", late_to_rejoin),
    Case("zombie", "a worker frozen past its session, then thawed", zombie),
    Case("fetcher-stalls", "no fetch reaches Kafka, heartbeats do, until noticed", fetcher_stalls),
    Case("fetcher-stalls-on", "the same, and after the rebuild still", fetcher_stalls_for_good),
    Case("offsets-reset", "the group's offsets set back to the beginning", offsets_reset),
    Case("offsets-below", "offsets below the partitions' start (retention)", offsets_below_the_start),
    Case("offsets-above", "offsets above the partitions' end", offsets_above_the_end),
)
