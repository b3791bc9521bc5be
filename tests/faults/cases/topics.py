"""Topics of a cluster, changed by operators or by other clients: partitions, codecs, transactions, a new topic."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka import AIOKafkaProducer

from deploy.local.events import request_event
from deploy.local.worker import LocalWorker
from tests.faults import gauges
from tests.faults.case import Case
from tests.faults.cluster_admin import ClusterAdmin
from tests.faults.evidence import end_offsets
from tests.faults.people import signs_in
from tests.faults.stage import Stage
from tests.faults.upstream import new_signin_id

_BROKERS: Final = 3
_CODECS: Final = ("lz4", "zstd", "snappy", "gzip")
_FOUND_WITHIN_S: Final = 60
_PARTITIONS: Final = 6
_TRANSACTION_S: Final = 30


async def partitions_added(stage: Stage) -> str:
    """Add partitions to the inbound topics: the worker finds them, and reads them from their beginning."""
    admin = _admin(stage)
    more = 2 * _PARTITIONS
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)
        await admin.add_partitions(stage.topics.inbound, more)
        await stage.upstream.refresh()
        since = time.monotonic()

        async def all_in_use() -> bool:
            committed = await stage.committed_offsets()
            return {partition for _, partition in committed} == set(range(more))

        await stage.eventually(all_in_use, "records of all partitions are done", within_s=2 * _FOUND_WITHIN_S)
        took_s = time.monotonic() - since
        await stage.wait_until_recovered()

    return f"{_PARTITIONS} partitions became {more}; records of all were done after {took_s:.0f} s"


async def codecs(stage: Stage) -> str:
    """Let emitters compress with every codec; then let brokers compress everything again with another one."""
    admin = _admin(stage)
    await stage.start_worker()
    for codec in _CODECS:
        await stage.upstream.compress_with(codec)
        async with stage.crowd.arriving(stage.scale.every_s / 2):
            await asyncio.sleep(stage.scale.pause_s)
        await stage.crowd.wait_until_done()

    for topic, codec in zip((*stage.topics.inbound, stage.topics.results), _CODECS[:3], strict=True):
        await admin.set_codec(topic, codec)
    async with stage.crowd.arriving(stage.scale.every_s / 2):
        await asyncio.sleep(2 * stage.scale.pause_s)

    await stage.wait_until_recovered()
    return f"{', '.join(_CODECS)}; then three of them as the topics' own"


async def transaction_left_open(stage: Stage) -> str:
    """Let an emitter begin a transaction and never end it: what follows it waits until Kafka aborts it."""
    topic, _ = stage.topics.inbound
    worker = await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s, [signs_in]):
        await asyncio.sleep(stage.scale.pause_s)
        abandoned = await _begin_transaction(stage, topic)
        since = time.monotonic()
        await asyncio.sleep(stage.scale.pause_s)

    shown = await _shown_of_transaction(stage, worker, topic)
    await stage.wait_until_recovered(since)
    took_s = time.monotonic() - since
    await stage.crowd.wait_until_done()
    await _no_transaction_is_shown(stage, worker)

    return f"{abandoned} requests in it had no effect; {shown}; those behind it were done after {took_s:.0f} s"


async def _shown_of_transaction(stage: Stage, worker: LocalWorker, topic: str) -> str:
    """Wait until the worker's metrics agree with the brokers about each partition; return what they show."""
    lags: Mapping[tuple[str, int], int] = {}

    async def are_right() -> bool:
        nonlocal lags
        ends = await end_offsets(stage.bootstrap_servers, stage.topics)
        committed = await stage.committed_offsets()
        reported = await gauges.lag(worker)
        open_s = await gauges.open_transactions_s(worker)
        ages_s = await gauges.oldest_ages_s(worker)
        places = [(topic, number) for number in range(_PARTITIONS)]
        lags = {place: reported.get(place, 0) for place in places}

        return all(
            open_s.get(place, 0) > 0
            and ages_s.get(place, 0) > 0
            and lags[place] == ends.get(place, 0) - committed.get(place, 0) > 0
            for place in places
        )

    await stage.eventually(are_right, "the worker shows lag, age and the open transaction", within_s=_TRANSACTION_S)
    return f"meanwhile its metrics named it in {len(lags)} partitions, with a lag of {sum(lags.values())} records"


async def _no_transaction_is_shown(stage: Stage, worker: LocalWorker) -> None:
    async def none_is_shown() -> bool:
        return not any((*(await gauges.open_transactions_s(worker)).values(), *(await gauges.lag(worker)).values()))

    await stage.eventually(none_is_shown, "the worker shows neither lag nor an open transaction")


async def topic_recreated(stage: Stage) -> str:
    """Delete the topic of requests, once all of it is done, and create it again: its offsets start anew."""
    admin = _admin(stage)
    topic, _ = stage.topics.inbound
    worker = await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s / 2, [signs_in]):
        await asyncio.sleep(2 * stage.scale.pause_s)

    await stage.crowd.wait_until_done()
    await stage.wait_until_recovered()
    before = len(stage.ledger.entries)
    await admin.delete_topic(topic)

    async def gone() -> bool:
        return not await admin.exists(topic)

    await stage.eventually(gone, "the topic is deleted")
    await admin.create_inbound_topic(topic, _PARTITIONS)
    await stage.upstream.refresh()

    async with stage.crowd.arriving(stage.scale.every_s / 2, [signs_in]):
        await asyncio.sleep(stage.scale.pause_s)

    await stage.crowd.wait_until_done()
    await stage.wait_until_exactly_committed()
    assert worker.process.running, worker.process.last_output()

    return f"{len(stage.ledger.entries) - before} events after it, without a restart"


async def _begin_transaction(stage: Stage, topic: str) -> int:
    """Write one request to each partition in a transaction, and leave it open; return how many requests."""
    producer = AIOKafkaProducer(
        bootstrap_servers=stage.bootstrap_servers,
        transactional_id=f"{topic}-abandoned",
        transaction_timeout_ms=_TRANSACTION_S * 1_000,
    )
    await producer.start()
    try:
        await producer.begin_transaction()
        for partition in range(_PARTITIONS):
            signin_id = new_signin_id()
            value = json.dumps(request_event(signin_id, f"{signin_id[:16]}@ok.example")).encode()
            await producer.send_and_wait(topic, value, key=signin_id.encode(), partition=partition)
    finally:
        await producer.stop()  # which ends no transaction

    return _PARTITIONS


def _admin(stage: Stage) -> ClusterAdmin:
    return ClusterAdmin(stage.bootstrap_servers)


CASES: Final[Sequence[Case]] = (
    Case("partitions-added", "partitions added to the inbound topics", partitions_added, brokers=_BROKERS),
    Case("codecs", "records and topics compressed with lz4, zstd, snappy and gzip", codecs, brokers=_BROKERS),
    Case("transaction-open", "a transaction that nobody ends", transaction_left_open, brokers=_BROKERS),
    Case("topic-recreated", "a topic deleted and created again", topic_recreated, brokers=_BROKERS),
)
