"""Encryption of everything that Temporal stores: AES-256-GCM under a ring of keys (SECURITY S17).

Rotation takes two steps: append the new key on every worker, then move it to the front. A worker that meets a key it
does not hold (yet) raises ``UnknownKey``: the workflow task or the activity is tried again, nothing is lost.
"""

import os
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from activities.errors import UnknownKey
from activities.keyed import checked_key

ENCODING = b"binary/encrypted"
_CIPHER = b"AES-256-GCM"
_NONCE_BYTES = 12
_AAD_LABEL = b"signin-worker payload\x00"


class CorruptPayload(Exception):
    """Raised when a payload was not made by this codec under the key it names, or was changed."""

    def __init__(self) -> None:
        super().__init__("an encrypted payload does not open")


class EncryptionCodec(PayloadCodec):
    """Encrypts with the newest key, decrypts with any.

    ``ring``: key ids to keys of 32 bytes, newest first. The id stands in the payload's metadata and is authenticated.
    A payload in clear passes through: an operator's command line wrote it, or a release before the key was set.
    """

    def __init__(self, ring: Mapping[str, bytes]) -> None:
        if not ring:
            raise ValueError("the ring of payload keys needs a key")
        self._ring = {key_id.encode(): AESGCM(checked_key(key)) for key_id, key in ring.items()}
        self._newest_id = next(iter(self._ring))

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return the payloads encrypted."""
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return the payloads in clear. Raises ``UnknownKey`` or ``CorruptPayload``."""
        return [self._decrypt(payload) for payload in payloads]

    def _encrypt(self, payload: Payload) -> Payload:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ring[self._newest_id].encrypt(nonce, payload.SerializeToString(), _AAD_LABEL + self._newest_id)
        metadata = {"encoding": ENCODING, "encryption-cipher": _CIPHER, "encryption-key-id": self._newest_id}
        return Payload(metadata=metadata, data=nonce + sealed)

    def _decrypt(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        key_id = payload.metadata.get("encryption-key-id", b"")
        key = self._ring.get(key_id)
        if key is None:
            raise UnknownKey
        nonce, sealed = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            return Payload.FromString(key.decrypt(nonce, sealed, _AAD_LABEL + key_id))
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
            raise CorruptPayload from None
