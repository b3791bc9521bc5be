"""Read one partition batch by batch, up to and including the first batch that can't be decoded.

aiokafka decodes inside ``getmany`` and raises there: without the records of other partitions that it had already
handed out, and without saying which batch it was. So the partition is fetched once more, and decoded here by the
same code of aiokafka.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import LeaderNotAvailableError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords

from consumers.ports import record_size
from utils.kafka.clients import send_aside

# RecordBatch: base offset (8 bytes), length of what follows (4), leader epoch (4), magic (1), CRC (4), attributes (2),
# last offset delta (4), first and max timestamp (8 each), … (https://kafka.apache.org/documentation/#recordbatch).
_BATCH_START: Final = struct.Struct(">qi")
_HEADER: Final = struct.Struct(">qiibIhiqq")
_MAGIC: Final = 2
_MAX_WAIT_MS: Final = 0
_REPLICA_SINCE: Final = 11
_UNKNOWN_LEADERS: Final = (None, -1)
_LOG_APPEND_TIME: Final = 8
_ONE_BATCH: Final = 1  # a byte, but the leader returns at least one whole batch


class BatchHeader(NamedTuple):
    """The offsets and the times of a batch: they can be read even if its records can't.

    ``timestamp_ms`` is the latest of its records.
    """

    first_offset: int
    last_offset: int
    timestamp_ms: int
    first_timestamp_ms: int


@dataclass(frozen=True)
class UnreadableBatch:
    """The offsets of a batch that can't be decoded, from the first that can't. ``error``: a class's name."""

    first_offset: int
    last_offset: int
    timestamp_ms: int
    error: str


class Fetched(NamedTuple):
    """The records of a partition from some offset on, the offset to read next, and a batch that can't be decoded."""

    records: list[ConsumerRecord[Any, Any]]
    next_offset: int
    unreadable: UnreadableBatch | None = None


class _Answer(NamedTuple):
    """Batches as bytes, the end of the log, and the transactions that were aborted."""

    data: bytes
    high_water_mark: int
    aborted: Any


class ReadLimits(NamedTuple):
    """How much is decoded at a time. ``size``: bytes in memory. The record that exceeds it is taken all the same."""

    records: int
    size: int


async def fetch(client: Any, partition: TopicPartition, offset: int, max_bytes: int, limits: ReadLimits) -> Fetched:
    """Fetch from the partition's leader. Raises ``KafkaError``."""
    answer = await _fetch_batches(client, partition, offset, max_bytes, READ_COMMITTED)
    return decode(partition, answer.data, offset, limits, answer.high_water_mark, answer.aborted)


async def fetch_header(client: Any, partition: TopicPartition, offset: int) -> BatchHeader | None:
    """Return the first batch that holds ``offset`` or a later one, of an open transaction too; None if there is none.

    Raises ``KafkaError``.
    """
    answer = await _fetch_batches(client, partition, offset, _ONE_BATCH, READ_UNCOMMITTED)
    return next((header for header in headers(answer.data) if header.last_offset >= offset), None)


async def _fetch_batches(
    client: Any, partition: TopicPartition, offset: int, max_bytes: int, isolation_level: int
) -> _Answer:
    topics = [(partition.topic, [(partition.partition, offset, max_bytes)])]
    request = FetchRequest(_MAX_WAIT_MS, 1, max_bytes, isolation_level, topics)
    leader = client.cluster.leader_for_partition(partition)
    if leader in _UNKNOWN_LEADERS:
        raise LeaderNotAvailableError

    answer = await send_aside(client, leader, request)
    [(_, [(_, code, high_water_mark, *details)])] = answer.topics
    if code:
        raise for_code(code)

    aborted = details[2] if answer.API_VERSION >= _REPLICA_SINCE else details[-2]
    return _Answer(details[-1], high_water_mark, aborted)


def decode(
    partition: TopicPartition,
    data: bytes,
    offset: int,
    limits: ReadLimits,
    high_water_mark: int,
    aborted: Any = None,
) -> Fetched:
    """Decode the record batches in ``data`` from ``offset`` on, as aiokafka does. ``aborted``: its transactions."""
    batches = PartitionRecords(partition, MemoryRecords(data), aborted, offset, None, None, True, READ_COMMITTED)
    records: list[ConsumerRecord[Any, Any]] = []
    size = 0

    try:
        for record in batches:
            records.append(record)
            size += record_size(record.key, record.value, record.headers)
            if len(records) >= limits.records or size >= limits.size:
                break
    except MemoryError:
        raise
    except Exception as error:  # whatever else decoding raises, the batch can't be read
        unreadable = _batch_at(data, batches.next_fetch_offset, high_water_mark, type(error).__name__)
        return Fetched(records, batches.next_fetch_offset, unreadable)

    return Fetched(records, batches.next_fetch_offset)


def headers(data: bytes) -> Iterator[BatchHeader]:
    """Yield the header of each whole batch."""
    start = 0
    while start + _HEADER.size <= len(data):
        first, length, _, magic, _, attributes, last_delta, first_ms, last_ms = _HEADER.unpack_from(data, start)
        if length <= 0:
            return

        start += _BATCH_START.size + length
        if start <= len(data):
            last = first + max(0, last_delta) if magic == _MAGIC else first
            by_broker = attributes & _LOG_APPEND_TIME
            yield BatchHeader(first, last, last_ms, last_ms if by_broker else first_ms)


def _batch_at(data: bytes, offset: int, high_water_mark: int, error: str) -> UnreadableBatch | None:
    """Return the batch that holds ``offset``, or the first one after it.

    Its own word for its last offset may be what is damaged. It ends before the next batch in any case, or before the
    high-water mark. If neither is known, nothing behind its first offset is skipped.
    """
    found = list(headers(data))
    ends = [*(header.first_offset for header in found[1:]), high_water_mark]

    for header, next_start in zip(found, ends, strict=False):
        if next_start > offset:
            first = max(offset, header.first_offset)
            last = max(first, min(header.last_offset, next_start - 1))
            return UnreadableBatch(first, last, header.timestamp_ms, error)

    return None
