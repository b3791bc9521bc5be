"""Record batches as bytes, also such as no client library writes, and how to hand them to a broker."""

import asyncio
import struct
import time
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

GZIP: Final = 1
_PLACEHOLDER: Final = "????"
_LENGTH_OFFSET: Final = 8
_AFTER_LENGTH: Final = 12
_CRC_OFFSET: Final = 17
_ATTRIBUTES_OFFSET: Final = 21
_RECORDS_OFFSET: Final = 61
_WITHIN_S: Final = 10.0
_TRY_AGAIN_S: Final = 0.1


def batch(
    values: Sequence[bytes],
    *,
    compression: int = 0,
    headers: Sequence[tuple[str, bytes]] = (),
    key: bytes | None = None,
) -> bytes:
    """Return a batch of records with the same key and headers. ``compression``: Kafka's number of the codec."""
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, 0, 1 << 30)
    for offset, value in enumerate(values):
        builder.append(offset, int(time.time() * 1_000), key, value, list(headers))

    return bytes(builder.build())


def compressed_batch(records: bytes) -> bytes:
    """Return a batch of one record that claims to hold these bytes, compressed with gzip."""
    whole = batch([b""], compression=GZIP)
    data = whole[:_RECORDS_OFFSET] + records
    length = struct.pack(">i", len(data) - _AFTER_LENGTH)

    return _sealed(data[:_LENGTH_OFFSET] + length + data[_AFTER_LENGTH:])


def unreadable_batch(values: Sequence[bytes]) -> bytes:
    """Return a batch that brokers take and aiokafka can't decode: the name of its header is not UTF-8."""
    return partly_readable_batch([], values)


def partly_readable_batch(readable: Sequence[bytes], unreadable: Sequence[bytes]) -> bytes:
    """Return a batch whose first records can be decoded, and the others can't."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 30)
    for offset, value in enumerate([*readable, *unreadable]):
        headers = [] if offset < len(readable) else [(_PLACEHOLDER, b"")]
        builder.append(offset, int(time.time() * 1_000), None, value, headers)

    return _sealed(bytes(builder.build()).replace(_PLACEHOLDER.encode(), b"\xff" * len(_PLACEHOLDER)))


def _sealed(data: bytes) -> bytes:
    """Return the batch with the checksum that it should have."""
    crc = struct.pack(">I", calc_crc32c(data[_ATTRIBUTES_OFFSET:]))
    return data[:_CRC_OFFSET] + crc + data[_ATTRIBUTES_OFFSET:]


async def produce(bootstrap_servers: str, topic: str, partition: int, data: bytes) -> None:
    """Append a batch to a partition as it is. Raises what the broker answers, if it refuses."""
    place = TopicPartition(topic, partition)
    request = ProduceRequest(None, -1, 10_000, [(topic, [(partition, data)])])
    client = AIOKafkaClient(bootstrap_servers=bootstrap_servers)

    try:
        await client.bootstrap()
        async with asyncio.timeout(_WITHIN_S):
            while error := await _refusal(client, place, request):
                if not error.retriable:  # a topic that was made just now may have no leader yet
                    raise error
                await asyncio.sleep(_TRY_AGAIN_S)
    finally:
        await client.close()


async def _refusal(client: Any, place: TopicPartition, request: ProduceRequest) -> type[KafkaError] | None:
    await client.force_metadata_update()
    await client._wait_on_metadata(place.topic)
    answer = await client.send(client.cluster.leader_for_partition(place), request)

    [(_, [(_, code, *_)])] = answer.topics
    error: type[KafkaError] = for_code(code)

    return error if code else None
