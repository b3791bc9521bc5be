"""Payloads are encrypted with a ring of keys."""

import pytest
from temporalio.api.common.v1 import Payload

from activities.errors import UnknownKey
from utils.temporal.payload_codec import ENCODING, CorruptPayload, EncryptionCodec

OLD = b"o" * 32
NEW = b"n" * 32
CLEAR = Payload(metadata={"encoding": b"json/plain"}, data=b'"ada@example.com"')


async def test_an_encrypted_payload_shows_nothing_and_decrypts() -> None:
    """An encrypted payload shows neither text nor encoding of the original, and decrypts to it."""
    codec = EncryptionCodec({"k1": OLD})
    [sealed] = await codec.encode([CLEAR])

    assert sealed.metadata["encoding"] == ENCODING
    assert b"ada" not in sealed.SerializeToString()
    assert await codec.decode([sealed]) == [CLEAR]


async def test_equal_payloads_are_encrypted_differently() -> None:
    """Each payload has a nonce of its own, so equal ones cannot be recognised."""
    first, second = await EncryptionCodec({"k1": OLD}).encode([CLEAR, CLEAR])
    assert first.data != second.data


async def test_a_key_rotation_in_two_steps_loses_no_payload() -> None:
    """After each step, every worker can read what any other worker writes."""
    before = EncryptionCodec({"a": OLD})
    appended = EncryptionCodec({"a": OLD, "b": NEW})
    moved = EncryptionCodec({"b": NEW, "a": OLD})

    for writer, readers in ((before, (before, appended)), (appended, (before, appended, moved)), (moved, (appended,))):
        sealed = await writer.encode([CLEAR])
        for reader in readers:
            assert await reader.decode(sealed) == [CLEAR]

    [sealed_last] = await moved.encode([CLEAR])

    assert sealed_last.metadata["encryption-key-id"] == b"b"


async def test_an_unknown_key_is_reported_as_such() -> None:
    """A worker without the key raises ``UnknownKey``, so that the task is retried."""
    sealed = await EncryptionCodec({"b": NEW}).encode([CLEAR])
    with pytest.raises(UnknownKey):
        await EncryptionCodec({"a": OLD}).decode(sealed)


async def test_a_payload_without_a_key_id_is_an_unknown_key() -> None:
    """An encrypted payload that names no key raises ``UnknownKey``."""
    with pytest.raises(UnknownKey):
        await EncryptionCodec({"a": OLD}).decode([Payload(metadata={"encoding": ENCODING})])


@pytest.mark.parametrize("data", [b"", b"short", b"n" * 12, b"x" * 60])
async def test_bytes_that_cannot_be_decrypted_are_corrupt(data: bytes) -> None:
    """Whatever is wrong with the bytes, ``CorruptPayload`` is raised and nothing is returned."""
    payload = Payload(metadata={"encoding": ENCODING, "encryption-key-id": b"a"}, data=data)
    with pytest.raises(CorruptPayload):
        await EncryptionCodec({"a": OLD}).decode([payload])


async def test_the_key_id_is_authenticated() -> None:
    """A payload whose key id was changed cannot be decrypted, even with the same key."""
    [sealed] = await EncryptionCodec({"a": OLD}).encode([CLEAR])
    sealed.metadata["encryption-key-id"] = b"b"
    with pytest.raises(CorruptPayload):
        await EncryptionCodec({"a": OLD, "b": OLD}).decode([sealed])


async def test_an_unencrypted_payload_passes_through() -> None:
    """A signal that an operator sends from the command line can be read."""
    assert await EncryptionCodec({"a": OLD}).decode([CLEAR]) == [CLEAR]


def test_an_empty_ring_is_refused() -> None:
    """Without a key, nothing could be encrypted."""
    with pytest.raises(ValueError, match="is empty"):
        EncryptionCodec({})


def test_a_short_key_is_refused() -> None:
    """A key must have the 32 bytes of AES-256."""
    with pytest.raises(ValueError, match="32 bytes"):
        EncryptionCodec({"a": b"short"})
