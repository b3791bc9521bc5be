"""Which dead letters of a partition were put back, in a form that Kafka keeps for us (docs/adr/0010).

A committed offset says that all below it is done. Those above it that are done too, since others between were not
selected or were passed over, stand as a bitmap in the text that Kafka keeps beside a committed offset.
"""

import base64
import binascii
import zlib
from typing import Final

from consumers.ports import ReplayMark

MAX_METADATA_LENGTH: Final = 4096
"""Characters: what brokers keep beside an offset by default (``offset.metadata.max.bytes``)."""

_FORM: Final = "z1:"
_LARGEST_BITMAP: Final = 16 * 1024 * 1024


class ReplayedOffsets:
    """Offsets of one partition that are done: all below ``watermark``, and some above."""

    def __init__(self, watermark: int, above: int = 0) -> None:
        self._watermark = watermark
        self._above = above  # bit n: offset watermark + n is done
        self._settle()

    @classmethod
    def from_mark(cls, mark: ReplayMark | None, first: int, end: int) -> "ReplayedOffsets":
        """Read what Kafka remembers of a partition that holds the offsets from ``first`` to before ``end``.

        An offset beyond the end belongs to an earlier topic of that name. Nothing is taken for done that may not be.
        """
        if mark is None or mark.offset > end:
            return cls(first)
        done = cls(mark.offset, _bitmap(mark.metadata))
        done.add(done.watermark, first)
        return done

    @property
    def watermark(self) -> int:
        """The first offset that is not done."""
        return self._watermark

    def __contains__(self, offset: int) -> bool:
        """Tell whether ``offset`` is done."""
        return offset < self._watermark or bool(self._above >> (offset - self._watermark) & 1)

    def add(self, first: int, end: int | None = None) -> None:
        """Note ``first`` as done, or all offsets from ``first`` to before ``end``."""
        start = max(first, self._watermark) - self._watermark
        count = (first + 1 if end is None else end) - self._watermark - start
        if count > 0:
            self._above |= ((1 << count) - 1) << start
            self._settle()

    def mark(self) -> ReplayMark:
        """Return what Kafka is to remember."""
        return ReplayMark(self._watermark, _note(self._above))

    def _settle(self) -> None:
        """Move the watermark over what is done."""
        done = (~self._above & (self._above + 1)).bit_length() - 1
        self._watermark += done
        self._above >>= done


def _note(bitmap: int) -> str:
    if not bitmap:
        return ""
    packed = zlib.compress(bitmap.to_bytes((bitmap.bit_length() + 7) // 8, "little"), 9)
    return _FORM + base64.b64encode(packed).decode()


def _bitmap(note: str) -> int:
    """Return the bitmap; none for a note of somebody else, such as the empty one after a reset of the group."""
    try:
        packed = base64.b64decode(note.removeprefix(_FORM), validate=True)
        unpacked = zlib.decompressobj().decompress(packed, _LARGEST_BITMAP)
    except (binascii.Error, ValueError, zlib.error):
        return 0
    return int.from_bytes(unpacked, "little") if note.startswith(_FORM) else 0
