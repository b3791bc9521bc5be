"""Codes, seals and pseudonyms."""

import collections

import pytest

from activities.addresses import parse_address
from activities.codes import CodeKeys, normalise_code
from activities.errors import UnknownKey
from activities.keyed import keyed_digest
from activities.pseudonyms import Pseudonyms

OLD = bytes(range(32))
NEW = bytes(range(32, 64))
SIGNIN = "s" * 22


def test_codes_are_uniform() -> None:
    """Over 10**5 codes, each digit is as frequent as chance allows at each place (chi-squared, 9 degrees)."""
    keys = CodeKeys({"k": NEW})
    codes = [keys.derive("k", "account", SIGNIN, str(nonce), 8) for nonce in range(100_000)]

    for place in range(8):
        counts = collections.Counter(code[place] for code in codes)
        deviation = sum((counts[digit] - 10_000) ** 2 / 10_000 for digit in "0123456789")
        assert deviation < 40


def test_a_code_depends_on_account_sign_in_nonce_and_key() -> None:
    """Changing any one of them gives another code; the same arguments give the same code."""
    keys = CodeKeys({"new": NEW, "old": OLD})
    codes = {
        keys.derive("new", "a", SIGNIN, "n", 10),
        keys.derive("old", "a", SIGNIN, "n", 10),
        keys.derive("new", "b", SIGNIN, "n", 10),
        keys.derive("new", "a", SIGNIN + "t", "n", 10),
        keys.derive("new", "a", SIGNIN, "m", 10),
    }

    assert len(codes) == 5
    assert keys.derive("new", "a", SIGNIN, "n", 10) in codes


def test_a_seal_matches_its_code_only() -> None:
    """Blanks and hyphens do not matter; another code, sign-in or key does."""
    keys = CodeKeys({"new": NEW, "old": OLD})
    key_id, seal = keys.seal(SIGNIN, "1234-56 78")

    assert key_id == keys.newest_id == "new"
    assert keys.matches(seal, "new", SIGNIN, "12345678")
    assert not keys.matches(seal, "new", SIGNIN, "12345679")
    assert not keys.matches(seal, "new", SIGNIN + "t", "12345678")
    assert not keys.matches(seal, "old", SIGNIN, "12345678")


def test_an_unknown_key_raises() -> None:
    """The caller can retry after the rotation."""
    keys = CodeKeys({"new": NEW})
    with pytest.raises(UnknownKey, match="key id"):
        keys.seal(SIGNIN, "1", "gone")


def test_invalid_keys_raise() -> None:
    """A ring needs a key, and each key has 32 bytes."""
    with pytest.raises(ValueError, match="needs a key"):
        CodeKeys({})
    with pytest.raises(ValueError, match="32 bytes"):
        CodeKeys({"k": b"short"})
    with pytest.raises(ValueError, match="32 bytes"):
        Pseudonyms(b"short")


def test_adjacent_fields_are_kept_apart() -> None:
    """Moving a letter from one field to the next changes the digest."""
    assert keyed_digest(NEW, "l", "ab", "c") != keyed_digest(NEW, "l", "a", "bc")


def test_accounts_and_mailboxes_have_different_pseudonyms() -> None:
    """A tag makes another account, but not another mailbox."""
    pseudonyms = Pseudonyms(NEW)
    ada = parse_address("ada@x.test")
    tagged = parse_address("ada+t@x.test")
    assert ada is not None and tagged is not None

    assert pseudonyms.account(ada) != pseudonyms.mailbox(ada)
    assert pseudonyms.account(ada) != pseudonyms.account(tagged)
    assert pseudonyms.mailbox(ada) == pseudonyms.mailbox(tagged)
    assert len(pseudonyms.account(ada)) == 43


def test_normalised_codes_have_no_blanks_or_hyphens() -> None:
    """Tabs and no-break spaces count as blanks."""
    assert normalise_code(" 12-34\t5\u00a06 ") == "123456"
