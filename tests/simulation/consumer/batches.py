"""Record batches as bytes: whole, compacted, damaged, and the markers that end transactions."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from consumers.ports import Headers

NO_PRODUCER: Final = -1

Damage = Callable[[bytes], bytes]
"""Makes a batch unreadable."""

_OFFSET: Final = struct.Struct(">q")
_CRC_AT: Final = 17
_ATTRIBUTES_AT: Final = 21
_LAST_DELTA_AT: Final = 23
_PRODUCER_AT: Final = 43
_PRODUCER: Final = struct.Struct(">qhii")  # its id and epoch, the base sequence, the number of records
_HEADER_BYTES: Final = 61
_CONTROL: Final = 0x20
_NO_SUCH_CODEC: Final = 0x07
_MARKER_KEY: Final = struct.Struct(">hh")
_MARKER_VALUE: Final = struct.Struct(">hi")


class Content(NamedTuple):
    """A record before it has an offset. ``delta``: its place in its batch."""

    delta: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class ProducerState(NamedTuple):
    """Who wrote a batch, and with which sequence number it begins."""

    producer_id: int
    epoch: int
    sequence: int
    records: int


@dataclass(frozen=True)
class Batch:
    """A batch in a log. ``contents``: what a consumer can read of it. ``unreadable``: it cannot be decoded."""

    base: int
    last: int
    data: bytes
    contents: Sequence[Content] = ()
    producer_id: int = NO_PRODUCER
    is_transactional: bool = False
    is_marker: bool = False
    unreadable: bool = False

    @property
    def offsets(self) -> Sequence[int]:
        """The offsets of its records."""
        return [self.base + content.delta for content in self.contents]


def encode(
    contents: Sequence[Content],
    compression: int = 0,
    producer_id: int = NO_PRODUCER,
    is_transactional: bool = False,
    last_delta: int | None = None,
) -> bytes:
    """Encode a batch that begins at offset 0. ``last_delta``: the place of its last record, which may be compacted."""
    builder: Any = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=compression,
        is_transactional=int(is_transactional),
        producer_id=producer_id,
        producer_epoch=0 if producer_id != NO_PRODUCER else -1,
        base_sequence=0 if producer_id != NO_PRODUCER else -1,
        batch_size=1 << 30,
    )
    for delta, timestamp, key, value, headers in contents:
        builder.append(delta, timestamp=timestamp, key=key, value=value, headers=list(headers))

    data = bytearray(builder.build())
    if last_delta is not None:
        struct.pack_into(">i", data, _LAST_DELTA_AT, last_delta)

    return _with_checksum(data)


def encode_marker(producer_id: int, committed: bool, timestamp_ms: int) -> bytes:
    """Encode the end of a transaction."""
    key = _MARKER_KEY.pack(0, int(committed))
    value = _MARKER_VALUE.pack(0, 0)
    data = bytearray(encode([Content(0, timestamp_ms, key, value)], 0, producer_id, is_transactional=True))
    data[_ATTRIBUTES_AT + 1] |= _CONTROL

    return _with_checksum(data)


def with_wrong_checksum(data: bytes) -> bytes:
    """Damage a batch so that its checksum does not fit."""
    return data[:-1] + bytes([data[-1] ^ 0xFF])


def with_unknown_codec(data: bytes) -> bytes:
    """Pretend that a batch is compressed with a codec that does not exist."""
    changed = bytearray(data)
    changed[_ATTRIBUTES_AT + 1] |= _NO_SUCH_CODEC

    return _with_checksum(changed)


def with_garbage(data: bytes) -> bytes:
    """Replace the records of a batch by bytes that mean nothing, under a checksum that fits."""
    return _with_checksum(bytearray(data[:_HEADER_BYTES] + b"\xff" * (len(data) - _HEADER_BYTES)))


def at_offset(data: bytes, base: int) -> bytes:
    """Return the batch as it is stored at an offset."""
    return _OFFSET.pack(base) + data[_OFFSET.size :]


def producer_state(data: bytes) -> ProducerState:
    """Read who wrote a batch."""
    return ProducerState(*_PRODUCER.unpack_from(data, _PRODUCER_AT))


def decode(data: bytes) -> list[Content]:
    """Decode a batch that a producer sent."""
    batch: Any = MemoryRecords(data).next_batch()
    return [
        Content(record.offset, record.timestamp, record.key, record.value, tuple(record.headers)) for record in batch
    ]


def _with_checksum(data: bytearray) -> bytes:
    struct.pack_into(">I", data, _CRC_AT, calc_crc32c(bytes(data[_ATTRIBUTES_AT:])))
    return bytes(data)
