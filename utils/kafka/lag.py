"""How far a group is behind, asked of Kafka itself: no member has to be there, and none is disturbed."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from consumers.ports import KafkaUnavailable
from schemas.status import PartitionLag
from utils.kafka.producers import KafkaAccess
from utils.kafka.topics import TopicState, look_up_topics

_WITHIN_S: Final = 15.0
_READ_WITHIN_MS: Final = 2_000


async def lags(access: KafkaAccess, group_id: str, topics: Sequence[str]) -> list[PartitionLag]:
    """Return how far the group is on each partition of the topics. Raises ``KafkaUnavailable``."""
    try:
        async with asyncio.timeout(_WITHIN_S):
            there = await look_up_topics(access, topics)  # to name a topic that is missing could create it
            committed = await _committed(access, group_id)
            consumer = AIOKafkaConsumer(**access.options(), enable_auto_commit=False)
            try:
                await consumer.start()
                return await _lags(consumer, committed, _partitions(there, topics))
            finally:
                await consumer.stop()
    except TimeoutError:
        raise KafkaUnavailable(f"no answer within {_WITHIN_S:g} s") from None
    except (KafkaError, OSError) as error:
        raise KafkaUnavailable(type(error).__name__) from None


async def _committed(access: KafkaAccess, group_id: str) -> dict[TopicPartition, int]:
    admin = AIOKafkaAdminClient(**access.options())
    try:
        await admin.start()
        found = await admin.list_consumer_group_offsets(group_id)
    finally:
        await admin.close()
    return {partition: offset.offset for partition, offset in found.items() if offset.offset >= 0}


def _partitions(there: Mapping[str, TopicState], topics: Sequence[str]) -> list[TopicPartition]:
    return [TopicPartition(one, number) for one in topics if one in there for number in range(there[one].partitions)]


async def _lags(
    consumer: Any, committed: dict[TopicPartition, int], partitions: Sequence[TopicPartition]
) -> list[PartitionLag]:
    if not partitions:
        return []
    consumer.assign(partitions)
    ends, begins = await consumer.end_offsets(partitions), await consumer.beginning_offsets(partitions)
    at = {one: max(committed.get(one, begins[one]), begins[one]) for one in partitions}
    oldest = await _stamps(consumer, {one: at[one] for one in partitions if at[one] < ends[one]})
    return [
        PartitionLag(
            topic=one.topic,
            partition=one.partition,
            end=ends[one],
            committed=committed.get(one),
            lag=ends[one] - at[one],
            oldest=oldest.get(one),
        )
        for one in partitions
    ]


async def _stamps(consumer: Any, positions: dict[TopicPartition, int]) -> dict[TopicPartition, datetime]:
    """Return the stamps of the records at these positions, as far as they can be had within a moment."""
    stamps: dict[TopicPartition, datetime] = {}
    if not positions:
        return stamps
    consumer.assign(list(positions))
    for partition, offset in positions.items():
        consumer.seek(partition, offset)
    while len(stamps) < len(positions):
        batch = await consumer.getmany(timeout_ms=_READ_WITHIN_MS)
        if not batch:
            break
        for partition, records in batch.items():
            stamps.setdefault(partition, datetime.fromtimestamp(records[0].timestamp / 1_000, UTC))
            consumer.pause(partition)
    return stamps
