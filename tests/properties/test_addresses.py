"""Any text is either rejected, or has two canonical forms and one spelling that mail goes to."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from activities.addresses import Address, parse_address
from activities.errors import MailRefused
from tests import golden
from utils.smtp.message import envelope_recipient

CORPUS: list[dict[str, Any]] = json.loads((Path(next(iter(golden.__path__))) / "addresses.json").read_text())

_TRICKY = (
    "aAzZ09.+-_@ \t\r\n\x00\"'<>(),;:\\%!éÉßſıİµﬁＡ＋＠。\u0301\u0307\u00ad\u200b\u200d\u202e\u212a\u0430\u05d0用😀"
)
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
_tricky = st.text(st.sampled_from(_TRICKY), max_size=70)
_local = st.text(st.sampled_from("aAzZ09.+-_éÉßſıİﬁＡ＋\u212a\u0430用e\u0301"), min_size=1, max_size=20)
_domain = st.sampled_from(
    ["example.com", "EXAMPLE.com", "bücher.example", "xn--bcher-kva.example", "例え.example", "x.de."]
)
_no_capital = st.sampled_from(["J\u030c", "\u01f0", "H\u0331", "T\u0308", "W\u030a", "y\u030a"])
"""Letters that NFC leaves in two characters if they are capitals."""
_likely = st.builds("{}{}@{}".format, st.just("") | _no_capital, _local, _domain)
_anything = st.one_of(st.text(st.characters(exclude_categories=[]), max_size=330), _tricky, _likely)


@pytest.mark.parametrize("one", CORPUS, ids=lambda one: one["case"])
def test_the_corpus_is_parsed_as_recorded(one: dict[str, Any]) -> None:
    """Each text gives the forms, or the rejection, that a person has checked."""
    address = parse_address(one["text"])
    found = (address.given, address.account, address.mailbox) if address else (None, None, None)
    assert found == (one["given"], one["account"], one["mailbox"])


def parsed(text: str) -> Address | None:
    """Parse, and see that the forms are fit for a command and a header."""
    address = parse_address(text)
    if address is None:
        return None

    for form in (address.given, address.account, address.mailbox):
        assert form.count("@") == 1
        assert _UNSAFE.isdisjoint(map(unicodedata.category, form)), ascii(form)
    assert address.domain.isascii()
    assert len(address.given.rpartition("@")[0].encode()) <= 64

    return address


@given(_anything)
@example("a\ud800da@example.com")
def test_no_text_raises(text: str) -> None:
    """Not even an unpaired surrogate, a line end or an overlong local part."""
    parsed(text)


@given(_likely)
def test_parsing_is_idempotent(text: str) -> None:
    """The spelling that mail goes to has the same forms; so does the account, where it is an address itself."""
    address = parsed(text)
    if address is None:
        return

    again = parsed(address.given)

    assert again is not None
    assert (again.given, again.account, again.mailbox) == (address.given, address.account, address.mailbox)

    assert unicodedata.is_normalized("NFC", address.account)

    of_account = parsed(address.account)
    if of_account is not None:
        assert (of_account.account, of_account.mailbox) == (address.account, address.mailbox)


@given(_likely, _likely)
def test_one_account_has_one_mailbox(one: str, other: str) -> None:
    """Spellings that share an identity also share a send budget."""
    first = parsed(one)
    second = parsed(other)
    if first is not None and second is not None and first.account == second.account:
        assert first.mailbox == second.mailbox


@given(_likely)
def test_case_blanks_and_a_final_dot_make_no_difference(text: str) -> None:
    """They change neither account nor mailbox."""
    address = parsed(text.removesuffix("."))
    if address is None:
        return

    swapped = "".join(mark.swapcase() if mark.isascii() else mark for mark in address.given)

    for spelling in (swapped, f"\u00a0{address.given} ", f"{address.given}."):
        other = parsed(spelling)
        assert other is not None
        assert (other.account, other.mailbox) == (address.account, address.mailbox)


@given(_anything)
def test_the_envelope_names_the_same_account(text: str) -> None:
    """The address in RCPT TO is one line and belongs to the parsed account, or there is no mail."""
    address = parsed(text)
    try:
        recipient = envelope_recipient(text).addr_spec
    except MailRefused:
        return

    assert address is not None
    assert recipient.isprintable()

    reparsed = parse_address(recipient)

    assert reparsed is not None and reparsed.account == address.account
