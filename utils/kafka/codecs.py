"""Decompression with a bound, in place of aiokafka's own.

A broker limits the bytes that are sent, not what they expand to: a batch of 10 kB can hold 10 MB of one repeated byte,
and one of 1 MB a gigabyte.
"""

import struct
from collections.abc import Callable, Iterator
from mmap import mmap
from types import ModuleType
from typing import Any, Final

import cramjam
from aiokafka import codec
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.record import default_records, legacy_records

from consumers.ports import record_size

MAX_DECOMPRESSED_BYTES: Final = 16 * 1024 * 1024
"""Of one batch, in bytes."""
MAX_POLL_BYTES: Final = 4 * 1024 * 1024
"""Of the records that one poll takes from one partition, in memory. The record that exceeds it is taken."""

_NO_FILE: Final = -1
_XERIAL_HEADER_BYTES: Final = 16
_LENGTH: Final = struct.Struct(">i")

DecompressInto = Callable[[Any, Any], int]
"""Decompresses into a buffer and returns the size. Raises ``cramjam.DecompressionError`` if the buffer is too small."""


def bound_decompression() -> None:
    """Make all clients of aiokafka in this process use the decoders below. Calling it again changes nothing."""
    for module in _users_of_codecs():
        for name, decode in _DECODERS.items():
            if hasattr(module, name):
                setattr(module, name, decode)

    FetchResult.getall = _take_records


def _users_of_codecs() -> Iterator[ModuleType]:
    """Yield the modules that hold references to aiokafka's decoders: in Python, and compiled where that is in use."""
    yield codec
    yield default_records
    yield legacy_records

    try:
        from aiokafka.record._crecords import default_records as compiled, legacy_records as compiled_legacy
    except ImportError:
        return

    yield compiled
    yield compiled_legacy


def _take_records(self: Any, max_records: int | None = None) -> list[Any]:
    """Do what ``FetchResult.getall`` does, and stop at ``MAX_POLL_BYTES``, too: batches are decoded one by one."""
    if not self.check_assignment(self._topic_partition) or not self.has_more():
        return []

    taken: list[Any] = []
    size = 0
    for record in self._partition_records:
        taken.append(record)
        size += record_size(record.key, record.value, record.headers)
        if len(taken) == max_records or size >= MAX_POLL_BYTES:
            self._update_position()
            return taken

    self._update_position()
    self._partition_records = None

    return taken


def _decoder(decompress_into: DecompressInto) -> Callable[[Any], bytes]:
    def decode(payload: Any) -> bytes:
        buffer = _reserved()
        size = decompress_into(payload, buffer)

        return buffer[:size]

    return decode


def _reserved() -> mmap:
    """Return a buffer of which the system backs only the pages that are written. Raises ``MemoryError``."""
    try:
        return mmap(_NO_FILE, MAX_DECOMPRESSED_BYTES)
    except OSError:
        raise MemoryError("no room to decompress a batch") from None


def _snappy_into(payload: Any, buffer: mmap) -> int:
    """Decompress snappy, bare or in the blocks of xerial's library, which the Java client writes."""
    data = memoryview(payload)
    if not codec._detect_xerial_stream(data):
        return int(cramjam.snappy.decompress_raw_into(data, buffer))

    written = 0
    for block in _blocks(data[_XERIAL_HEADER_BYTES:]):
        written += cramjam.snappy.decompress_raw_into(block, memoryview(buffer)[written:])

    return written


def _blocks(data: memoryview) -> Iterator[memoryview]:
    start = 0
    while start < len(data):
        (length,) = _LENGTH.unpack_from(data, start)
        if length <= 0:
            raise cramjam.DecompressionError("a block without a length")
        start += _LENGTH.size
        yield data[start : start + length]
        start += length


_DECODERS: Final = {
    "gzip_decode": _decoder(cramjam.gzip.decompress_into),
    "snappy_decode": _decoder(_snappy_into),
    "lz4_decode": _decoder(cramjam.lz4.decompress_into),
    "zstd_decode": _decoder(cramjam.zstd.decompress_into),
}
