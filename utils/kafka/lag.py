"""How far a consumer group is behind, according to Kafka: the group needs no members and is not disturbed."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from aiokafka import TopicPartition

from consumers.ports import record_time
from schemas.status import PartitionLag
from utils.kafka.access import KafkaAccess
from utils.kafka.clients import kafka_admin, kafka_call, temporary_consumer
from utils.kafka.partition_logs import first_timestamp_s, read_logs
from utils.kafka.topics import TopicState, look_up_topics

_TIMEOUT_S: Final = 15.0


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
    committed: Mapping[TopicPartition, int],
    partitions: Sequence[TopicPartition],
) -> list[PartitionLag]:
    if not partitions:
        return []

    consumer.assign(partitions)
    beginnings = await consumer.beginning_offsets(partitions)
    logs = await read_logs(consumer._client, partitions)

    positions = {each: _position(committed.get(each), beginnings[each], logs[each].end) for each in logs}
    behind = {each: position for each, position in positions.items() if position < logs[each].end}
    oldest = await _times(consumer._client, behind)

    return [
        PartitionLag(
            topic=each.topic,
            partition=each.partition,
            end=log.end,
            committed=committed.get(each),
            lag=log.end - positions[each],
            oldest=oldest.get(each),
            behind_open_transaction=log.end - log.stable_end,
        )
        for each, log in logs.items()
    ]


def _position(committed: int | None, beginning: int, end: int) -> int:
    """Return where a worker reads on. A committed offset beyond the end is that of an earlier log."""
    if committed is None or not beginning <= committed <= end:
        return beginning

    return committed


async def _times(client: Any, positions: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, datetime]:
    """Return the times of the records at these positions, also of those in open transactions."""
    seconds = await asyncio.gather(*(first_timestamp_s(client, *position) for position in positions.items()))

    return {
        partition: time
        for partition, time_s in zip(positions, seconds, strict=True)
        if time_s is not None and (time := record_time(round(time_s * 1_000))) is not None
    }
