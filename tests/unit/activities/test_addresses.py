"""The canonical forms of addresses (SECURITY S14)."""

import pytest

from activities.addresses import Address, parse_address


def _parse(text: str) -> Address:
    address = parse_address(text)
    assert address is not None
    return address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@x.test",
        "ada@",
        "a da@x.test",
        "ada@x.test\r\nBcc: eve@x.test",
        '"a b"@x.test',
        "ada@[127.0.0.1]",
        "a" * 65 + "@x.test",
        "ada@x..test",
        "ada@x.test..",
        "ada\x00@x.test",
        "ada@x_y.test",
        "Ada <ada@x.test>",
    ],
)
def test_text_that_is_not_an_address_is_rejected(text: str) -> None:
    """Typing errors, injections and exotic forms give None."""
    assert parse_address(text) is None


def test_blanks_and_one_trailing_dot_are_dropped() -> None:
    """``given`` is the address as typed, without surrounding blanks and one final dot."""
    assert _parse(" Ada@x.test. ").given == "Ada@x.test"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@x.test", "ada@x.test"),
        ("ada@X.TEST", "ada@x.test"),
        ("ada@bücher.test", "ada@xn--bcher-kva.test"),
        ("J\u030can@x.test", "\u01f0an@x.test"),
        ("H\u0331an@x.test", "\u1e96an@x.test"),
        ("T\u0308an@x.test", "\u1e97an@x.test"),
        ("W\u030aan@x.test", "\u1e98an@x.test"),
        ("Y\u030aan@x.test", "\u1e99an@x.test"),
    ],
)
def test_spellings_of_one_address_share_an_account(one: str, other: str) -> None:
    """ASCII case and the form of the domain do not make another account."""
    assert _parse(one).account == _parse(other).account


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mıke@x.test", "mike@x.test"),
        ("straße@x.test", "strasse@x.test"),
        ("ada+x@x.test", "ada@x.test"),
        ("ada@x.test", "ada@х.test"),
        ("a.da@x.test", "ada@x.test"),
    ],
)
def test_look_alikes_are_different_accounts(one: str, other: str) -> None:
    """Only ASCII case is folded, so a stranger cannot take over an account with a similar address."""
    assert _parse(one).account != _parse(other).account


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada+x@x.test", "ada@x.test"),
        ("ADA+y@x.test", "ada@x.test"),
        ("straße@x.test", "STRASSE@x.test"),
        ("\uff41da@x.test", "ada@x.test"),
    ],
)
def test_spellings_of_one_mailbox_share_a_budget(one: str, other: str) -> None:
    """Tags, case and compatibility forms do not buy further mails."""
    assert _parse(one).mailbox == _parse(other).mailbox


def test_a_local_part_that_is_only_a_tag_is_kept() -> None:
    """Without the tag there would be no local part."""
    assert _parse("+tag@x.test").mailbox == "+tag@x.test"


def test_the_repr_hides_the_address() -> None:
    """An address that is logged by mistake does not appear in the log."""
    assert "ada" not in repr(_parse("ada@x.test"))


def test_mail_goes_to_the_spelling_that_the_account_is_derived_from() -> None:
    """NFC turns the Kelvin sign into a K, and the owner of the other spelling must not get this account's code."""
    kelvin = _parse("\u212aim@x.test")
    assert kelvin.account == _parse("kim@x.test").account
    assert kelvin.given == "Kim@x.test"
