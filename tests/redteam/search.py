"""Looks for secrets in bytes: as they are, URL-encoded, and inside of base64 and hex, wherever these begin. Pure."""

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
_APART: Final = b"\x00"


@dataclass(frozen=True)
class Secrets:
    """What to look for. ``marks``: by kind, bytes that no text holds by chance; ``codes``: all that were sent."""

    marks: Mapping[str, tuple[bytes, ...]]
    codes: frozenset[bytes]

    def found_in(self, blob: bytes) -> Counter[str]:
        """Return how often each kind of secret is in there, with the form it was found in."""
        found = Counter[str]()
        for form, view in views(blob):
            for kind, marks in self.marks.items():
                found[f"{kind} {form}"] += sum(view.count(mark) for mark in marks)
            found[f"code {form}"] += sum(digits in self.codes for digits in _CODE.findall(view))
        return +found


def views(blob: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the bytes in each form that a secret may hide in."""
    yield "in clear", blob
    if b"%" in blob:
        yield "URL-encoded", unquote_to_bytes(blob)

    runs = _BASE64.findall(blob)
    for shift in range(_BASE64_GROUP):
        yield "in base64", _APART.join(_from_base64(run[shift:]) for run in runs)

    runs = _HEX.findall(blob)
    for shift in range(_HEX_GROUP):
        yield "in hex", _APART.join(binascii.unhexlify(_whole(run[shift:], _HEX_GROUP)) for run in runs)


def _from_base64(run: bytes) -> bytes:
    """Decode a run of letters; its end, where it is no whole group, as far as that goes."""
    rest = len(run) % _BASE64_GROUP
    padded = run[:-1] if rest == 1 else run + b"=" * (-rest % _BASE64_GROUP)
    return binascii.a2b_base64(padded.translate(_STANDARD))


def _whole(run: bytes, group: int) -> bytes:
    return run[: len(run) - len(run) % group]
