"""The canonical forms of addresses (SECURITY S14)."""

import pytest

from activities.addresses import Address, parse_address


def _parse(text: str) -> Address:
    address = parse_address(text)
    assert address is not None
    return address


@pytest.mark.parametrize(
    "text",
    ["", "ada", "@x.test", "ada@", "a da@x.test", "ada@x.test\r\nBcc: eve@x.test", '"a b"@x.test', "ada@[127.0.0.1]"]
    + ["a" * 65 + "@x.test", "ada@x..test", "ada@x.test..", "ada\x00@x.test", "ada@x_y.test", "Ada <ada@x.test>"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Typing errors, injections and exotic forms give None."""
    assert parse_address(text) is None


def test_blanks_and_one_trailing_dot_are_dropped() -> None:
    """The address as given, less blanks around it and one dot."""
    assert _parse(" Ada@x.test. ").given == "Ada@x.test"


@pytest.mark.parametrize(
    ("one", "other"),
    [("Ada@x.test", "ada@x.test"), ("ada@X.TEST", "ada@x.test"), ("ada@bücher.test", "ada@xn--bcher-kva.test")],
)
def test_spellings_of_one_account(one: str, other: str) -> None:
    """ASCII case and the form of the domain make no new account."""
    assert _parse(one).account == _parse(other).account


@pytest.mark.parametrize(
    ("one", "other"),
    [("mıke@x.test", "mike@x.test"), ("straße@x.test", "strasse@x.test")]
    + [("ada+x@x.test", "ada@x.test"), ("ada@x.test", "ada@х.test"), ("a.da@x.test", "ada@x.test")],
)
def test_look_alikes_are_different_accounts(one: str, other: str) -> None:
    """No folding beyond ASCII case can give a stranger somebody's account."""
    assert _parse(one).account != _parse(other).account


@pytest.mark.parametrize(
    ("one", "other"),
    [("ada+x@x.test", "ada@x.test"), ("ADA+y@x.test", "ada@x.test"), ("straße@x.test", "STRASSE@x.test")]
    + [("\uff41da@x.test", "ada@x.test")],
)
def test_spellings_of_one_mailbox_share_its_budget(one: str, other: str) -> None:
    """Tags, case and compatibility forms buy no further mails."""
    assert _parse(one).mailbox == _parse(other).mailbox


def test_a_tag_alone_is_kept() -> None:
    """Dropping it would leave no local part."""
    assert _parse("+tag@x.test").mailbox == "+tag@x.test"


def test_an_address_does_not_show_in_a_log() -> None:
    """Its repr is blank."""
    assert "ada" not in repr(_parse("ada@x.test"))


def test_mail_goes_to_the_spelling_that_the_account_was_made_of() -> None:
    """The Kelvin sign is a K to NFC: whoever may own the other spelling must not get the code of this account."""
    kelvin = _parse("\u212aim@x.test")
    assert kelvin.account == _parse("kim@x.test").account
    assert kelvin.given == "Kim@x.test"
