"""Keyed digests with domain separation, for pseudonyms, codes and seals.

A digest is HMAC-SHA-256 (RFC 2104) over a label and fields, each preceded by its length. So no
two lists of fields give the same input ("ab", "c" differs from "a", "bc"), and a digest made
for one purpose is useless for another.
"""

import base64
import hashlib
import hmac

KEY_BYTES = 32
_LENGTH_BYTES = 4


def checked_key(key: bytes) -> bytes:
    """Return ``key``. Raises ``ValueError`` unless it has 32 bytes."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
    return key


def keyed_digest(key: bytes, label: str, *fields: str) -> bytes:
    """Return HMAC-SHA-256 under ``key`` over the label and the fields: 32 bytes."""
    message = b"".join(_framed(field) for field in (label, *fields))
    return hmac.digest(key, message, hashlib.sha256)


def base64url(data: bytes) -> str:
    """Return base64url without padding (RFC 4648 section 5), for ids, headers and addresses."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _framed(field: str) -> bytes:
    data = field.encode()
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data
