"""Decompression with a bound, in place of aiokafka's own.

A broker limits the bytes that are sent, not what they expand to: a batch of 10 kB can hold 10 MB of one repeated byte,
and one of 1 MB a gigabyte. Or it holds one record with seven million empty headers, which take half a gigabyte.
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
MAX_HEADERS: Final = 10_000
"""Of one record, in a batch that is so large that more could take too much memory."""

_HEADERS_COUNT_FROM: Final = 1024 * 1024  # bytes: what brokers take uncompressed, by default
_VARINT_BYTES: Final = 10
_SMALLEST_RECORD: Final = 6  # bytes
_SMALLEST_HEADER: Final = 2
_NO_FILE: Final = -1
_XERIAL_HEADER_BYTES: Final = 16
_LENGTH: Final = struct.Struct(">i")


class TooManyHeaders(Exception):
    """Raised when a batch cannot be decoded because one of its records has too many headers."""


DecompressInto = Callable[[Any, Any], int]
"""Decompresses into a buffer and returns the size. Raises ``cramjam.DecompressionError`` if the buffer is too small."""


def bound_decompression() -> None:
    """Make all clients of aiokafka in this process use the decoders below. Calling it again changes nothing."""
    for module in _users_of_codecs():
        has_headers = module.__name__.endswith(".default_records")
        for name, decode in _DECODERS.items():
            if hasattr(module, name):
                setattr(module, name, _counting_headers(decode) if has_headers else decode)

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


def _counting_headers(decode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def decode_and_count(payload: Any) -> bytes:
        records = decode(payload)
        if len(records) > _HEADERS_COUNT_FROM:
            _count_headers(records)

        return records

    return decode_and_count


def _count_headers(records: bytes) -> None:
    """Count the headers of large records before aiokafka makes objects of them. Raises ``TooManyHeaders``.

    What is damaged is left to aiokafka.
    """
    start = 0
    try:
        while start < len(records):
            length, start = _varint(records, start)
            if length < _SMALLEST_RECORD:
                return
            if length > _SMALLEST_HEADER * MAX_HEADERS and _number_of_headers(records, start) > MAX_HEADERS:
                raise TooManyHeaders
            start += length
    except IndexError:
        return


def _number_of_headers(records: bytes, start: int) -> int:
    """Read it from a record without its length. Raises ``IndexError``.

    A record: attributes (1 byte), timestamp, offset, key and value with their lengths, number of headers, headers
    (https://kafka.apache.org/documentation/#record).
    """
    _, place = _varint(records, start + 1)
    _, place = _varint(records, place)
    for _ in ("key", "value"):
        size, place = _varint(records, place)
        place += max(size, 0)

    count, _ = _varint(records, place)
    return count


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """Return a number of at most 64 bits, and where it ends. Raises ``IndexError`` if there is none."""
    byte = data[start]
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), start + 1

    number = 0
    for place in range(start, start + _VARINT_BYTES):
        byte = data[place]
        number |= (byte & 0x7F) << 7 * (place - start)
        if not byte & 0x80:
            return (number >> 1) ^ -(number & 1), place + 1

    raise IndexError("a number without an end")


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
