"""What the leaders of partitions say of their logs.

``end_offsets`` of aiokafka asks with the consumer's own isolation level: with ``read_committed`` it is the last stable
offset, where an open transaction hides everything behind it. So both ends are asked for here.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, LeaderNotAvailableError, NodeNotReadyError, for_code
from aiokafka.protocol.offset import OffsetRequest, OffsetResetStrategy

from consumers.ports import PartitionLog
from utils.kafka.batches import fetch_header
from utils.kafka.clients import send_aside
from utils.kafka.topic_ids import TopicIdsRequest

_NO_REPLICA: Final = -1
_UNKNOWN_LEADERS: Final = (None, -1)


class _Answer(NamedTuple):
    offsets: Mapping[TopicPartition, int]
    error: KafkaError | None


async def read_logs(client: Any, partitions: Collection[TopicPartition]) -> dict[TopicPartition, PartitionLog]:
    """Return the logs of the partitions whose leaders answer. Raises a ``KafkaError`` if none does."""
    topics = {partition.topic for partition in partitions}
    topic_ids = await _known_topic_ids(client, topics)
    stable_ends = await _list_offsets(client, partitions, READ_COMMITTED)  # first: it is never above the end
    ends = await _list_offsets(client, partitions, READ_UNCOMMITTED)

    return {
        partition: PartitionLog(ends[partition], stable_end, topic_ids.get(partition.topic))
        for partition, stable_end in stable_ends.items()
        if partition in ends
    }


async def first_timestamp_s(client: Any, partition: TopicPartition, offset: int) -> float | None:
    """Return the time of the first record from ``offset`` on, of an open transaction too. None: there is none.

    It is that of the batch, which may be some milliseconds earlier. Raises ``KafkaError``.
    """
    header = await fetch_header(client, partition, offset)
    if header is None or header.first_timestamp_ms < 0:
        return None

    return header.first_timestamp_ms / 1_000


async def read_topic_ids(client: Any, topics: Collection[str]) -> Mapping[str, bytes]:
    """Return the ids of the topics that exist. Brokers older than Kafka 2.8 know none. Raises ``KafkaError``."""
    node = client.get_random_node()
    if node is None:
        raise NodeNotReadyError

    try:
        answer = await send_aside(client, node, TopicIdsRequest(topics))
    except (NotImplementedError, IncompatibleBrokerVersion):
        return {}

    return {name: topic_id for code, name, topic_id, *_ in answer.topics if not code}


async def _known_topic_ids(client: Any, topics: Collection[str]) -> Mapping[str, bytes]:
    try:
        return await read_topic_ids(client, topics)
    except KafkaError:
        return {}


async def _list_offsets(
    client: Any, partitions: Collection[TopicPartition], isolation_level: int
) -> dict[TopicPartition, int]:
    """Ask all leaders at once. A partition whose leader does not answer is left out, unless none answers."""
    by_leader = defaultdict(list)
    for partition in partitions:
        by_leader[client.cluster.leader_for_partition(partition)].append(partition)

    if any(leader in by_leader for leader in _UNKNOWN_LEADERS):
        client.force_metadata_update()

    known = [leader for leader in by_leader if leader not in _UNKNOWN_LEADERS]
    answers = await asyncio.gather(*(_ask_leader(client, node, by_leader[node], isolation_level) for node in known))
    offsets = {partition: offset for answer in answers for partition, offset in answer.offsets.items()}
    if partitions and not offsets:
        raise next((answer.error for answer in answers if answer.error is not None), LeaderNotAvailableError())

    return offsets


async def _ask_leader(client: Any, node: int, partitions: Sequence[TopicPartition], isolation_level: int) -> _Answer:
    by_topic = defaultdict(list)
    for topic, number in partitions:
        by_topic[topic].append((number, OffsetResetStrategy.LATEST))

    request = OffsetRequest(_NO_REPLICA, isolation_level, list(by_topic.items()))
    try:
        answer = await send_aside(client, node, request)
    except KafkaError as error:
        return _Answer({}, error)

    return _read_answer(answer, client)


def _read_answer(answer: Any, client: Any) -> _Answer:
    offsets = {}
    error: KafkaError | None = None

    for topic, found in answer.topics:
        for number, code, _timestamp, offset in found:
            if not code:
                offsets[TopicPartition(topic, number)] = offset
                continue
            error = for_code(code)()
            if error.invalid_metadata:
                client.force_metadata_update()

    return _Answer(offsets, error)
