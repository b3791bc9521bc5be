"""Payloads are encrypted under a ring of keys."""

import pytest
from temporalio.api.common.v1 import Payload

from activities.errors import UnknownKey
from utils.temporal.payload_codec import ENCODING, CorruptPayload, EncryptionCodec

OLD, NEW = b"o" * 32, b"n" * 32
CLEAR = Payload(metadata={"encoding": b"json/plain"}, data=b'"ada@example.com"')


async def test_what_is_encoded_decodes_and_shows_nothing() -> None:
    """The payload comes back whole, and neither its text nor its encoding can be seen meanwhile."""
    codec = EncryptionCodec({"k1": OLD})
    [sealed] = await codec.encode([CLEAR])
    assert sealed.metadata["encoding"] == ENCODING
    assert b"ada" not in sealed.SerializeToString()
    assert await codec.decode([sealed]) == [CLEAR]


async def test_the_same_text_never_encrypts_alike() -> None:
    """Each payload has a nonce of its own."""
    first, second = await EncryptionCodec({"k1": OLD}).encode([CLEAR, CLEAR])
    assert first.data != second.data


async def test_a_rotation_in_two_steps_loses_nothing() -> None:
    """Append, then move to the front: at each step every worker reads what any other writes."""
    before, appended, moved = (
        EncryptionCodec(ring) for ring in ({"a": OLD}, {"a": OLD, "b": NEW}, {"b": NEW, "a": OLD})
    )
    for writer, readers in ((before, (before, appended)), (appended, (before, appended, moved)), (moved, (appended,))):
        sealed = await writer.encode([CLEAR])
        for reader in readers:
            assert await reader.decode(sealed) == [CLEAR]

    [sealed_last] = await moved.encode([CLEAR])

    assert sealed_last.metadata["encryption-key-id"] == b"b"


async def test_an_unknown_key_is_not_now() -> None:
    """A worker without the key raises what makes a task be tried again."""
    sealed = await EncryptionCodec({"b": NEW}).encode([CLEAR])
    with pytest.raises(UnknownKey):
        await EncryptionCodec({"a": OLD}).decode(sealed)


async def test_a_payload_without_a_key_id_is_an_unknown_key() -> None:
    """So is one that names none."""
    with pytest.raises(UnknownKey):
        await EncryptionCodec({"a": OLD}).decode([Payload(metadata={"encoding": ENCODING})])


@pytest.mark.parametrize("data", [b"", b"short", b"n" * 12, b"x" * 60])
async def test_bytes_that_do_not_open_are_corrupt(data: bytes) -> None:
    """Whatever is wrong with the bytes, it is one error, not garbage."""
    payload = Payload(metadata={"encoding": ENCODING, "encryption-key-id": b"a"}, data=data)
    with pytest.raises(CorruptPayload):
        await EncryptionCodec({"a": OLD}).decode([payload])


async def test_the_key_id_is_authenticated() -> None:
    """A payload relabelled to another id does not open, even under the same key."""
    [sealed] = await EncryptionCodec({"a": OLD}).encode([CLEAR])
    sealed.metadata["encryption-key-id"] = b"b"
    with pytest.raises(CorruptPayload):
        await EncryptionCodec({"a": OLD, "b": OLD}).decode([sealed])


async def test_a_payload_in_clear_passes_through() -> None:
    """What an operator signals from the command line is read."""
    assert await EncryptionCodec({"a": OLD}).decode([CLEAR]) == [CLEAR]


def test_an_empty_ring_is_refused() -> None:
    """Nothing would be encrypted."""
    with pytest.raises(ValueError, match="needs a key"):
        EncryptionCodec({})


def test_a_short_key_is_refused() -> None:
    """AES-256 has keys of 32 bytes."""
    with pytest.raises(ValueError, match="32 bytes"):
        EncryptionCodec({"a": b"short"})
