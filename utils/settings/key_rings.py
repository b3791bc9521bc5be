"""Keys in environment variables: a key is base64 of 32 bytes, a ring is ``id:base64,id:base64``, newest first."""

import base64
import binascii
import re
import secrets
from typing import Annotated, Final

from pydantic import BeforeValidator, Secret, SecretBytes

MAKE_A_KEY: Final = "make one with: openssl rand -base64 32"
_KEY_BYTES: Final = 32
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_ENTRY_FORM: Final = "must be id:base64, with an id of 1 to 32 letters, digits, hyphens or underscores"


def parse_key(text: str) -> bytes:
    """Parse a key. Raises ``ValueError``, whose text does not contain the key."""
    return _decode(text, "the key")


def parse_key_ring(text: str) -> dict[str, bytes]:
    """Parse a ring. Raises ``ValueError``, whose text names the entry by its position and contains no key."""
    keys: dict[str, bytes] = {}
    entries = [entry.strip() for entry in text.split(",")]

    for place, entry in enumerate(entries, start=1):
        key_id, colon, encoded = entry.partition(":")
        if not colon or not _KEY_ID.fullmatch(key_id):
            raise ValueError(f"entry {place} {_ENTRY_FORM}; {MAKE_A_KEY}")
        if key_id in keys:
            raise ValueError(f"entry {place} has the id of an earlier entry: ids must be unique")
        keys[key_id] = _decode(encoded, f"the key of entry {place}")

    return keys


Key = Annotated[SecretBytes, BeforeValidator(parse_key)]
KeyRing = Annotated[Secret[dict[str, bytes]], BeforeValidator(parse_key_ring)]


def random_key() -> SecretBytes:
    """Generate a key for this process only."""
    return SecretBytes(secrets.token_bytes(_KEY_BYTES))


def random_key_ring() -> Secret[dict[str, bytes]]:
    """Generate a ring of one key for this process only."""
    key_id = f"made-{secrets.token_hex(4)}"
    return Secret({key_id: secrets.token_bytes(_KEY_BYTES)})


def _decode(text: str, name: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{name} is not base64; {MAKE_A_KEY}") from None

    if len(key) != _KEY_BYTES:
        raise ValueError(f"{name} must be {_KEY_BYTES} bytes long, not {len(key)}; {MAKE_A_KEY}")
    return key
