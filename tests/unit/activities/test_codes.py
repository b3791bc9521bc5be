"""Codes, seals and pseudonyms."""

import collections

import pytest

from activities.addresses import parse_address
from activities.codes import CodeKeys, normalise_code
from activities.errors import UnknownKey
from activities.keyed import keyed_digest
from activities.pseudonyms import Pseudonyms

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
SIGNIN = "s" * 22


def test_codes_are_uniform() -> None:
    """Over 10**5 codes every digit occurs at every place, none with a bias beyond chance (chi-squared, 9 degrees)."""
    keys = CodeKeys({"k": NEW})
    codes = [keys.derive("k", "account", SIGNIN, str(nonce), 8) for nonce in range(100_000)]
    for place in range(8):
        counts = collections.Counter(code[place] for code in codes)
        assert sum((counts[digit] - 10_000) ** 2 / 10_000 for digit in "0123456789") < 40


def test_a_code_belongs_to_its_account_sign_in_nonce_and_key() -> None:
    """Changing any one of them gives another code."""
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


def test_a_seal_opens_with_its_code_only() -> None:
    """Pasted blanks and hyphens do not count; another code, sign-in or key does."""
    keys = CodeKeys({"new": NEW, "old": OLD})
    key_id, seal = keys.seal(SIGNIN, "1234-56 78")
    assert key_id == keys.newest_id == "new"
    assert keys.matches(seal, "new", SIGNIN, "12345678")
    assert not keys.matches(seal, "new", SIGNIN, "12345679")
    assert not keys.matches(seal, "new", SIGNIN + "t", "12345678")
    assert not keys.matches(seal, "old", SIGNIN, "12345678")


def test_an_unknown_key_is_said_not_guessed() -> None:
    """A worker that lacks a key raises, so the caller can try again after the rotation."""
    keys = CodeKeys({"new": NEW})
    with pytest.raises(UnknownKey, match="key id"):
        keys.seal(SIGNIN, "1", "gone")


def test_bad_rings_are_refused() -> None:
    """No key, or one of the wrong length."""
    with pytest.raises(ValueError, match="needs a key"):
        CodeKeys({})
    with pytest.raises(ValueError, match="32 bytes"):
        CodeKeys({"k": b"short"})
    with pytest.raises(ValueError, match="32 bytes"):
        Pseudonyms(b"short")


def test_fields_do_not_run_together() -> None:
    """Moving a letter over a border changes the hash."""
    assert keyed_digest(NEW, "l", "ab", "c") != keyed_digest(NEW, "l", "a", "bc")


def test_pseudonyms_tell_account_and_mailbox_apart() -> None:
    """Same address, different names; a tag makes another account and the same mailbox."""
    names, ada, tagged = Pseudonyms(NEW), parse_address("ada@x.test"), parse_address("ada+t@x.test")
    assert ada is not None and tagged is not None
    assert names.account(ada) != names.mailbox(ada)
    assert names.account(ada) != names.account(tagged)
    assert names.mailbox(ada) == names.mailbox(tagged)
    assert len(names.account(ada)) == 43


def test_normalised_codes_have_no_blanks_or_hyphens() -> None:
    """Any blank."""
    assert normalise_code(" 12-34\t5\u00a06 ") == "123456"
