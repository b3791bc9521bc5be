"""Keys as they stand in the environment: base64 of 32 bytes, and rings ``id:base64,id:base64``, newest first."""

import base64
import binascii
import re
import secrets
from typing import Annotated, Final

from pydantic import BeforeValidator, Secret, SecretBytes

_KEY_BYTES: Final = 32
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
MAKE_A_KEY: Final = "make one with: openssl rand -base64 32"


def parse_key(text: str) -> bytes:
    """Read one key. Raises ``ValueError`` with a text that does not hold it."""
    return _decode(text, "the key")


def parse_key_ring(text: str) -> dict[str, bytes]:
    """Read a ring. Raises ``ValueError`` with a text that names places, never a key."""
    keys: dict[str, bytes] = {}
    for place, entry in enumerate((part.strip() for part in text.split(",")), start=1):
        key_id, colon, encoded = entry.partition(":")
        if not colon or not _KEY_ID.fullmatch(key_id):
            raise ValueError(
                f"entry {place} must be id:base64, the id 1 to 32 letters, digits, hyphens or underscores; {MAKE_A_KEY}"
            )
        if key_id in keys:
            raise ValueError(f"entry {place} has an id that was there before; ids must be unique")
        keys[key_id] = _decode(encoded, f"the key of entry {place}")
    return keys


Key = Annotated[SecretBytes, BeforeValidator(parse_key)]
KeyRing = Annotated[Secret[dict[str, bytes]], BeforeValidator(parse_key_ring)]


def random_key() -> SecretBytes:
    """Make a key for this process only."""
    return SecretBytes(secrets.token_bytes(_KEY_BYTES))


def random_key_ring() -> Secret[dict[str, bytes]]:
    """Make a ring of one key for this process only."""
    return Secret({f"made-{secrets.token_hex(4)}": secrets.token_bytes(_KEY_BYTES)})


def _decode(text: str, what: str) -> bytes:
    try:
        secret = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{what} is not base64; {MAKE_A_KEY}") from None
    if len(secret) != _KEY_BYTES:
        raise ValueError(f"{what} must have {_KEY_BYTES} bytes, not {len(secret)}; {MAKE_A_KEY}")
    return secret
