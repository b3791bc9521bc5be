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
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords

# RecordBatch: base offset (8 bytes), length of what follows (4), leader epoch (4), magic (1), CRC (4), attributes (2),
# last offset delta (4), first and max timestamp (8 each), … (https://kafka.apache.org/documentation/#recordbatch).
_BATCH_START: Final = struct.Struct(">qi")
_HEADER: Final = struct.Struct(">qiibIhiqq")
_MAX_WAIT_MS: Final = 0
_REPLICA_SINCE: Final = 11


class BatchHeader(NamedTuple):
    """The offsets and the time of a batch: they can be read even if its records can't."""

    first_offset: int
    last_offset: int
    timestamp_ms: int


@dataclass(frozen=True)
class UnreadableBatch:
    """A batch that can't be decoded. ``error``: the name of the error's class."""

    header: BatchHeader
    error: str


class Fetched(NamedTuple):
    """The records of a partition from some offset on, and the batch behind them if it can't be decoded."""

    records: list[ConsumerRecord[Any, Any]]
    unreadable: UnreadableBatch | None


async def fetch(client: Any, partition: TopicPartition, offset: int, max_bytes: int) -> Fetched:
    """Fetch from the partition's leader. Raises ``KafkaError``."""
    topics = [(partition.topic, [(partition.partition, offset, max_bytes)])]
    request = FetchRequest(_MAX_WAIT_MS, 1, max_bytes, READ_COMMITTED, topics)
    answer = await client.send(client.cluster.leader_for_partition(partition), request)

    [(_, [(_, code, _, *details)])] = answer.topics
    if code:
        raise for_code(code)

    aborted = details[2] if answer.API_VERSION >= _REPLICA_SINCE else details[-2]
    return decode(partition, details[-1], offset, aborted)


def decode(partition: TopicPartition, data: bytes, offset: int, aborted: Any = None) -> Fetched:
    """Decode the record batches in ``data`` from ``offset`` on, as aiokafka does. ``aborted``: its transactions."""
    batches = PartitionRecords(partition, MemoryRecords(data), aborted, offset, None, None, True, READ_COMMITTED)
    records: list[ConsumerRecord[Any, Any]] = []

    try:
        records.extend(batches)
    except Exception as error:  # whatever decoding raises, the batch can't be read
        header = _header_at(data, batches.next_fetch_offset)
        return Fetched(records, header and UnreadableBatch(header, type(error).__name__))

    return Fetched(records, None)


def headers(data: bytes) -> Iterator[BatchHeader]:
    """Yield the header of each whole batch."""
    start = 0
    while start + _HEADER.size <= len(data):
        first, length, _, _, _, _, last_delta, _, timestamp_ms = _HEADER.unpack_from(data, start)
        start += _BATCH_START.size + length
        if start <= len(data):
            yield BatchHeader(first, first + last_delta, timestamp_ms)


def _header_at(data: bytes, offset: int) -> BatchHeader | None:
    """Return the first batch that holds ``offset`` or a later one."""
    return next((header for header in headers(data) if header.last_offset >= offset), None)
