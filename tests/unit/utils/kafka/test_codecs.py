"""Compressed batches are read, whatever the codec, and none may expand without limit."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cramjam
import pytest
from aiokafka import TopicPartition, codec

from deploy.local.places import PROJECT
from tests.fakes.raw_batches import batch, compressed_batch
from utils.kafka.batches import Fetched, ReadLimits, decode
from utils.kafka.codecs import MAX_DECOMPRESSED_BYTES, bound_decompression

GZIP = 1
SNAPPY = 2
LZ4 = 3
ZSTD = 4
CODECS = pytest.mark.parametrize("compression", [GZIP, SNAPPY, LZ4, ZSTD], ids=["gzip", "snappy", "lz4", "zstd"])
PLACE = TopicPartition("topic", 0)

_OUT_OF_MEMORY = """
import resource
from pathlib import Path

from tests.unit.utils.kafka.test_codecs import GZIP, read

mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mapped + (8 << 20), -1))
try:
    print(read(GZIP, b"readable"))
except MemoryError:
    print("out of memory")
"""


bound_decompression()  # as every client does when it starts

BOTH_WAYS = pytest.mark.parametrize(
    ("compress", "decompress"),
    [
        (codec.gzip_encode, codec.gzip_decode),
        (codec.snappy_encode, codec.snappy_decode),
        (codec.lz4_encode, codec.lz4_decode),
        (codec.zstd_encode, codec.zstd_decode),
    ],
)


def read(compression: int, *values: bytes) -> Fetched:
    """Read values back from a compressed batch."""
    return decode(PLACE, batch(values, compression=compression), 0, ReadLimits(500, 1 << 30), len(values))


@CODECS
def test_a_compressed_batch_is_read(compression: int) -> None:
    """The values of a batch are the same after compression and decompression."""
    fetched = read(compression, b"one", b"two" * 100_000)

    assert fetched.unreadable is None
    assert [record.value for record in fetched.records] == [b"one", b"two" * 100_000]


@CODECS
def test_a_record_of_countless_headers_is_unreadable(compression: int) -> None:
    """Two million empty ones travel in a few kilobytes, and would take 120 MB. None of them becomes an object."""
    data = batch([b"value"], headers=[("", b"")] * 2_000_000, compression=compression)
    tracemalloc.start()
    fetched = decode(PLACE, data, 0, ReadLimits(500, 1 << 30), 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert fetched.unreadable is not None
    assert fetched.unreadable.error == "TooManyHeaders"
    assert peak < 8 << 20


@CODECS
@pytest.mark.parametrize(
    "part", [{"key": b"k" * 1_000}, {"headers": [("name", b"text")] * 200}], ids=["keys", "headers"]
)
def test_large_batches_are_read(compression: int, part: dict[str, Any]) -> None:
    """Their records' headers are counted, one record after another."""
    data = batch([b"value"] * 2_000, compression=compression, **part)

    assert len(decode(PLACE, data, 0, ReadLimits(2_000, 1 << 30), 2_000).records) == 2_000


@pytest.mark.parametrize("filling", [b"\xff", b"\x00", b"\x01", b"\x02\x00"])
def test_a_large_batch_without_a_record_is_unreadable_soon(filling: bytes) -> None:
    """No number in it has an end, or no record has a length, or each has a negative one."""
    data = compressed_batch(codec.gzip_encode(filling * (2 << 20)))
    fetched = decode(PLACE, data, 0, ReadLimits(500, 1 << 30), 1)

    assert fetched.unreadable is not None


@CODECS
def test_a_batch_that_expands_beyond_the_limit_is_unreadable(compression: int) -> None:
    """It is reported with its offsets, and is not decompressed in full."""
    fetched = read(compression, b"fine", bytes(MAX_DECOMPRESSED_BYTES))

    assert fetched.records == []
    assert fetched.unreadable is not None
    assert (fetched.unreadable.first_offset, fetched.unreadable.last_offset) == (0, 1)
    assert fetched.unreadable.error == "DecompressionError"


@BOTH_WAYS
def test_the_limit_is_exact(compress: Callable[[bytes], bytes], decompress: Callable[[bytes], bytes]) -> None:
    """Exactly the limit is decompressed; one byte more is refused."""
    largest = bytes(MAX_DECOMPRESSED_BYTES)

    assert decompress(compress(largest)) == largest
    with pytest.raises(cramjam.DecompressionError):
        decompress(compress(largest + b"x"))


def test_snappy_without_blocks_is_read() -> None:
    """Clients other than Java's write snappy without xerial's blocks."""
    assert codec.snappy_decode(cramjam.snappy.compress_raw(b"plain")) == b"plain"


@BOTH_WAYS
def test_a_small_batch_takes_little_memory(
    compress: Callable[[bytes], bytes], decompress: Callable[[bytes], bytes]
) -> None:
    """The limit is reserved, and neither filled with zeros nor held."""
    small = compress(b"small")

    tracemalloc.start()
    try:
        assert decompress(small) == b"small"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 100_000


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited as Linux does it")
def test_a_batch_that_there_is_no_memory_for_is_not_unreadable() -> None:
    """It would become a dead letter, though another worker can read it. A process of its own runs out of memory."""
    command = [sys.executable, "-c", _OUT_OF_MEMORY]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "out of memory"
