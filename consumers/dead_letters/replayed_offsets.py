"""Which dead letters of a partition were put back, in a form that Kafka stores for us (docs/adr/0010).

A committed offset says that all offsets below it are done. Some above it may be done
too, where others in between were not selected or were passed over. They are a bitmap,
in the metadata that Kafka stores beside a committed offset.
"""

import base64
import binascii
import zlib
from typing import Final

from consumers.ports import ReplayMark

MAX_METADATA_LENGTH: Final = 4096
"""Characters that brokers store beside an offset by default (``offset.metadata.max.bytes``)."""

_PREFIX: Final = "z1:"
_MAX_BITMAP_BYTES: Final = 16 * 1024 * 1024


class ReplayedOffsets:
    """The offsets of one partition that are done: all below ``watermark``, and some above it."""

    def __init__(self, watermark: int, bitmap: int = 0) -> None:
        self._watermark = watermark
        self._bitmap = bitmap  # bit n: offset watermark + n is done
        self._advance()

    @classmethod
    def from_mark(cls, mark: ReplayMark | None, first: int, end: int) -> "ReplayedOffsets":
        """Read what Kafka stored for a partition that holds the offsets from ``first`` to before ``end``.

        An offset beyond the end belongs to an earlier topic of that name. In doubt an
        offset is not done.
        """
        if mark is None or mark.offset > end:
            return cls(first)

        replayed = cls(mark.offset, _unpacked(mark.metadata))
        replayed.add(replayed.watermark, first)

        return replayed

    @property
    def watermark(self) -> int:
        """The first offset that is not done."""
        return self._watermark

    def __contains__(self, offset: int) -> bool:
        """Tell whether ``offset`` is done."""
        return offset < self._watermark or bool(self._bitmap >> (offset - self._watermark) & 1)

    def add(self, first: int, end: int | None = None) -> None:
        """Mark ``first`` as done, or all offsets from ``first`` to before ``end``."""
        end = first + 1 if end is None else end
        start = max(first, self._watermark)

        if end > start:
            bits = (1 << (end - start)) - 1
            self._bitmap |= bits << (start - self._watermark)
            self._advance()

    def mark(self) -> ReplayMark:
        """Return what Kafka is to store."""
        return ReplayMark(self._watermark, _packed(self._bitmap))

    def _advance(self) -> None:
        """Move the watermark past the offsets that are done."""
        done = (~self._bitmap & (self._bitmap + 1)).bit_length() - 1
        self._watermark += done
        self._bitmap >>= done


def _packed(bitmap: int) -> str:
    if not bitmap:
        return ""

    size = (bitmap.bit_length() + 7) // 8
    compressed = zlib.compress(bitmap.to_bytes(size, "little"), 9)

    return _PREFIX + base64.b64encode(compressed).decode()


def _unpacked(metadata: str) -> int:
    """Return the bitmap, or 0 for metadata that is not ours.

    After a reset of the group it is empty.
    """
    if not metadata.startswith(_PREFIX):
        return 0

    try:
        compressed = base64.b64decode(metadata.removeprefix(_PREFIX), validate=True)
        bitmap = zlib.decompressobj().decompress(compressed, _MAX_BITMAP_BYTES)
    except (binascii.Error, ValueError, zlib.error):
        return 0

    return int.from_bytes(bitmap, "little")
