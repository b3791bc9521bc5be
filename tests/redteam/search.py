"""Looks for secrets in bytes: in plaintext, URL-encoded, and within base64 and hex at any offset. Pure functions."""

import binascii
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

_CODE: Final = re.compile(rb"(?<!\d)\d{6,10}(?!\d)")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{10,}")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{16,}")
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_BASE64_GROUP = 4
_HEX_GROUP = 2
_SEPARATOR: Final = b"\x00"


@dataclass(frozen=True)
class Secrets:
    """What to look for. ``marks``: by kind, bytes that never occur by chance. ``codes``: all codes that were sent."""

    marks: Mapping[str, tuple[bytes, ...]]
    codes: frozenset[bytes]

    def found_in(self, blob: bytes) -> Counter[str]:
        """Return how often each kind of secret occurs, by the form in which it was found."""
        found = Counter[str]()
        for form, view in views(blob):
            for kind, marks in self.marks.items():
                found[f"{kind} {form}"] += sum(view.count(mark) for mark in marks)
            found[f"code {form}"] += sum(digits in self.codes for digits in _CODE.findall(view))
        return +found


def views(blob: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the bytes decoded from each form in which a secret may hide, with the form's name."""
    yield "in plaintext", blob
    if b"%" in blob:
        yield "URL-encoded", unquote_to_bytes(blob)

    runs = _BASE64.findall(blob)
    for shift in range(_BASE64_GROUP):
        yield "in base64", _SEPARATOR.join(_from_base64(run[shift:]) for run in runs)

    runs = _HEX.findall(blob)
    for shift in range(_HEX_GROUP):
        yield "in hex", _SEPARATOR.join(_from_hex(run[shift:]) for run in runs)


def _from_base64(run: bytes) -> bytes:
    """Decode a run of base64 letters. An incomplete last group is decoded as far as possible."""
    rest = len(run) % _BASE64_GROUP
    padded = run[:-1] if rest == 1 else run + b"=" * (-rest % _BASE64_GROUP)
    return binascii.a2b_base64(padded.translate(_STANDARD))


def _from_hex(run: bytes) -> bytes:
    return binascii.unhexlify(run[: len(run) - len(run) % _HEX_GROUP])
