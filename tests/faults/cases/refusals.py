"""Kafka refuses writes: dead letters it cannot store, and a producer it has fenced."""

import asyncio
import struct
from collections.abc import Awaitable
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.producer.transaction_manager import PidAndEpoch

from tests.faults.case import Case
from tests.faults.evidence import read_topic
from tests.faults.people import signs_in
from tests.faults.proxy import PRODUCE, Trap, kafka_request
from tests.faults.stage import Stage

_HELD_BACK_S: Final = 30
_SHORT_STALL_S: Final = 8
_REFUSED_S: Final = 30  # for longer than two stalls, each found within one and a half times its length


async def dead_letters_missing(stage: Stage) -> str:
    """Delete a dead-letter topic: offsets of records that belong there are not committed until it is back."""
    await stage.start_worker()
    (topic, _) = stage.topics.dead_letters
    (source, _) = stage.topics.inbound
    await stage.admin.delete_topic(topic)
    observed = await _commits_are_held_back(stage, source)
    await stage.admin.create_topic(topic)
    await stage.wait_until_recovered()
    return f"missing; {observed}"


async def dead_letters_forbidden(stage: Stage) -> str:
    """Deny the worker the right to write dead letters for a while."""
    await stage.start_worker()
    (topic, _) = stage.topics.dead_letters
    (source, _) = stage.topics.inbound
    await stage.admin.forbid_writing(topic)
    observed = await _commits_are_held_back(stage, source)
    await stage.admin.allow_writing(topic)
    await stage.wait_until_recovered()
    return f"denied; {observed}"


async def _commits_are_held_back(stage: Stage, source: str) -> str:
    """Produce one record of garbage; check that its offset is not committed, and that people are still served."""
    await stage.upstream.poison(source, b"garbage")
    ((topic, partition, offset), _) = stage.ledger.entries[-1]
    async with stage.crowd.arriving(stage.scale.every_s, [signs_in]):
        await asyncio.sleep(2 * stage.scale.pause_s)

    await asyncio.wait_for(stage.crowd.wait_until_done(), _HELD_BACK_S + stage.patience_s)
    committed = (await stage.committed_offsets()).get((topic, partition), 0)

    assert committed <= offset, f"{committed} was committed, although the dead letter at {offset} could not be written"

    return f"{stage.crowd.size} people were served meanwhile"


async def reading_forbidden(stage: Stage) -> str:
    """Take the right to read a topic away from a worker, for longer than two stalls."""
    (topic, _) = stage.topics.inbound
    return await _refused_for_a_while(stage, stage.admin.forbid_reading(topic), stage.admin.allow_reading(topic))


async def group_forbidden(stage: Stage) -> str:
    """Take the right to be in its group away from a worker, for longer than two stalls."""
    group_id = stage.topics.group_id
    return await _refused_for_a_while(stage, stage.admin.forbid_group(group_id), stage.admin.allow_group(group_id))


async def _refused_for_a_while(stage: Stage, forbid: Awaitable[None], allow: Awaitable[None]) -> str:
    """Check that the worker is not ready while it is refused, does not end, and goes on by itself."""
    worker = await stage.start_worker(SIGNIN_CONSUMER__STALL_S=str(_SHORT_STALL_S))
    async with stage.crowd.arriving(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)
        await forbid
        await asyncio.sleep(_REFUSED_S)
        assert not await worker.is_ready()

        await allow
        took_s = await stage.wait_until_recovered()

    return f"refused for {_REFUSED_S} s, with a stall of {_SHORT_STALL_S} s; recovered after {took_s:.1f} s"


async def producer_fenced(stage: Stage) -> str:
    """Write to the results topic as the worker's producer, but with a newer epoch: its own producer is fenced."""
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        await asyncio.sleep(stage.scale.pause_s)
        for _ in range(2):
            trap = stage.servers.kafka_proxy.set_trap(Trap(kafka_request(PRODUCE, stage.topics.results.encode())))
            await asyncio.wait_for(trap.triggered.wait(), 60)
            stage.servers.kafka_proxy.open()
            fenced = await _fence(stage, trap.request)
            await asyncio.sleep(stage.scale.pause_s)
            await stage.wait_until_recovered()

    return f"fenced twice, in {fenced} partitions"


async def _fence(stage: Stage, produced: bytes) -> int:
    """Repeat the last result of each partition as the worker's producer with a newer epoch."""
    producer_id, epoch = _producer_of(produced)
    records = await read_topic(stage.bootstrap_servers, stage.topics.results)
    last = {record.partition: record for record in records}
    producer = AIOKafkaProducer(bootstrap_servers=stage.bootstrap_servers, enable_idempotence=True)
    await producer.start()

    try:
        producer._txn_manager._pid_and_epoch = PidAndEpoch(producer_id, epoch + 1)
        for number, record in last.items():
            again = {"value": record.value, "key": record.key, "headers": list(record.headers)}
            await producer.send_and_wait(record.topic, partition=number, **again)
    finally:
        await producer.stop()

    return len(last)


def _producer_of(frame: bytes) -> tuple[int, int]:
    """Return the producer id and epoch of the first record batch in a Produce request."""
    for start in range(len(frame) - 61):
        offset, length, _, magic = struct.unpack(">qiib", frame[start : start + 17])
        if offset == 0 and magic == 2 and 49 <= length <= len(frame) - start - 12:
            producer_id, epoch = struct.unpack(">qh", frame[start + 43 : start + 53])
            if producer_id >= 0:
                return producer_id, epoch
    raise AssertionError("the Produce request holds no batch of an idempotent producer")


CASES = (
    Case("dlt-missing", "a dead-letter topic is missing", dead_letters_missing),
    Case("dlt-forbidden", "writing to a dead-letter topic is denied", dead_letters_forbidden),
    Case("reading-forbidden", "reading a topic is denied", reading_forbidden),
    Case("group-forbidden", "being in the group is denied", group_forbidden),
    Case("producer-fenced", "the producer of results is fenced", producer_fenced),
)
