"""Encryption of everything that Temporal stores: AES-256-GCM under a ring of keys (SECURITY S17).

Rotation takes two steps: append the new key on every worker, then move it to the front. A
worker that does not have a payload's key (yet) raises ``UnknownKey``. The workflow task or
activity is then retried, so nothing is lost.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from activities.errors import UnknownKey
from activities.keyed import checked_key

ENCODING: Final = b"binary/encrypted"
_CIPHER: Final = b"AES-256-GCM"
_NONCE_BYTES: Final = 12
_AAD_LABEL: Final = b"signin-worker payload\x00"


class CorruptPayload(Exception):
    """Raised when a payload was changed, or was not encrypted by this codec under the key it names."""

    def __init__(self) -> None:
        super().__init__("an encrypted payload cannot be decrypted")


class EncryptionCodec(PayloadCodec):
    """Encrypts with the newest key, decrypts with any.

    ``ring`` maps key ids to keys of 32 bytes, newest first. The payload's metadata holds
    the id, which is authenticated. An unencrypted payload passes through: it comes from an
    operator's command line, or from a time before the key was set.
    """

    def __init__(self, ring: Mapping[str, bytes]) -> None:
        if not ring:
            raise ValueError("the ring of payload keys is empty")
        self._ring = {key_id.encode(): AESGCM(checked_key(key)) for key_id, key in ring.items()}
        self._newest_id = next(iter(self._ring))

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return the payloads, encrypted."""
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return the payloads, decrypted. Raises ``UnknownKey`` or ``CorruptPayload``."""
        return [self._decrypt(payload) for payload in payloads]

    def _encrypt(self, payload: Payload) -> Payload:
        key_id = self._newest_id
        nonce = os.urandom(_NONCE_BYTES)
        ciphertext = self._ring[key_id].encrypt(nonce, payload.SerializeToString(), _AAD_LABEL + key_id)

        metadata = {"encoding": ENCODING, "encryption-cipher": _CIPHER, "encryption-key-id": key_id}
        return Payload(metadata=metadata, data=nonce + ciphertext)

    def _decrypt(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload

        key_id = payload.metadata.get("encryption-key-id", b"")
        key = self._ring.get(key_id)
        if key is None:
            raise UnknownKey

        nonce = payload.data[:_NONCE_BYTES]
        ciphertext = payload.data[_NONCE_BYTES:]
        try:
            return Payload.FromString(key.decrypt(nonce, ciphertext, _AAD_LABEL + key_id))
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
            raise CorruptPayload from None
