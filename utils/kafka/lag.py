"""How far a consumer group is behind, according to Kafka: the group needs no members and is not disturbed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import TopicPartition

from schemas.status import PartitionLag
from utils.kafka.access import KafkaAccess
from utils.kafka.clients import kafka_admin, kafka_call, temporary_consumer
from utils.kafka.topics import TopicState, look_up_topics

_TIMEOUT_S: Final = 15.0
_READ_TIMEOUT_MS: Final = 2_000


async def partition_lags(access: KafkaAccess, group_id: str, topics: Sequence[str]) -> list[PartitionLag]:
    """Return the group's lag on each partition of the topics. Raises ``KafkaUnavailable``."""
    async with kafka_call(_TIMEOUT_S):
        existing = await look_up_topics(access, topics)  # a request for a missing topic could create it
        committed = await _committed(access, group_id)

        async with temporary_consumer(access) as consumer:
            await consumer.start()
            return await _lags(consumer, committed, _partitions(existing, topics))


async def _committed(access: KafkaAccess, group_id: str) -> dict[TopicPartition, int]:
    async with kafka_admin(access) as admin:
        offsets = await admin.list_consumer_group_offsets(group_id)

    return {partition: committed.offset for partition, committed in offsets.items() if committed.offset >= 0}


def _partitions(existing: Mapping[str, TopicState], topics: Sequence[str]) -> list[TopicPartition]:
    return [
        TopicPartition(topic, number)
        for topic in topics
        if topic in existing
        for number in range(existing[topic].partitions)
    ]


async def _lags(
    consumer: Any,
    committed: dict[TopicPartition, int],
    partitions: Sequence[TopicPartition],
) -> list[PartitionLag]:
    if not partitions:
        return []

    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    beginnings = await consumer.beginning_offsets(partitions)

    positions = {each: max(committed.get(each, beginnings[each]), beginnings[each]) for each in partitions}
    behind = {each: position for each, position in positions.items() if position < ends[each]}
    oldest = await _timestamps(consumer, behind)

    return [
        PartitionLag(
            topic=each.topic,
            partition=each.partition,
            end=ends[each],
            committed=committed.get(each),
            lag=ends[each] - positions[each],
            oldest=oldest.get(each),
        )
        for each in partitions
    ]


async def _timestamps(consumer: Any, positions: dict[TopicPartition, int]) -> dict[TopicPartition, datetime]:
    """Return the timestamps of the records at these positions, those that can be read within a moment."""
    timestamps: dict[TopicPartition, datetime] = {}
    if not positions:
        return timestamps

    consumer.assign(list(positions))
    for partition, offset in positions.items():
        consumer.seek(partition, offset)

    while len(timestamps) < len(positions):
        batch = await consumer.getmany(timeout_ms=_READ_TIMEOUT_MS)
        if not batch:
            break
        for partition, records in batch.items():
            timestamps.setdefault(partition, datetime.fromtimestamp(records[0].timestamp / 1_000, UTC))
            consumer.pause(partition)

    return timestamps
