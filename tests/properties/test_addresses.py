"""Whatever is typed as an address: it is refused, or it has two canonical forms and one spelling that mail goes to."""

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
from utils.smtp.mailer import envelope_recipient

CORPUS: list[dict[str, Any]] = json.loads((Path(next(iter(golden.__path__))) / "addresses.json").read_text())

_TRICKY = (
    "aAzZ09.+-_@ \t\r\n\x00\"'<>(),;:\\%!éÉßſıİµﬁＡ＋＠。\u0301\u0307\u00ad\u200b\u200d\u202e\u212a\u0430\u05d0用😀"
)
_tricky = st.text(st.sampled_from(_TRICKY), max_size=70)
_local = st.text(st.sampled_from("aAzZ09.+-_éÉßſıİﬁＡ＋\u212a\u0430用e\u0301"), min_size=1, max_size=20)
_domain = st.sampled_from(
    ["example.com", "EXAMPLE.com", "bücher.example", "xn--bcher-kva.example", "例え.example", "x.de."]
)
_likely = st.builds("{}@{}".format, _local, _domain)
_anything = st.one_of(st.text(st.characters(exclude_categories=[]), max_size=330), _tricky, _likely)


@pytest.mark.parametrize("one", CORPUS, ids=lambda one: one["case"])
def test_the_corpus(one: dict[str, Any]) -> None:
    """Each was looked at by eye: what it becomes, or that it is none."""
    address = parse_address(one["text"])
    found = (address.given, address.account, address.mailbox) if address else (None, None, None)
    assert found == (one["given"], one["account"], one["mailbox"])


def parsed(text: str) -> Address | None:
    """Parse, and see that what comes out is fit for a command, a header and a log."""
    address = parse_address(text)
    if address is not None:
        for form in (address.given, address.account, address.mailbox):
            assert form.count("@") == 1
            assert not any(unicodedata.category(mark) in {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"} for mark in form), ascii(
                form
            )
        assert address.domain.isascii()
        assert len(address.given.rpartition("@")[0].encode()) <= 64

    return address


@given(_anything)
@example("a\ud800da@example.com")
def test_nothing_that_is_typed_raises(text: str) -> None:
    """Also half a surrogate pair, a line end, an endless local part."""
    parsed(text)


@given(_likely)
def test_the_forms_are_stable(text: str) -> None:
    """The spelling that mail goes to has the same forms; so has the account, if it is an address itself."""
    address = parsed(text)
    if address is None:
        return

    again = parsed(address.given)

    assert again is not None
    assert (again.given, again.account, again.mailbox) == (address.given, address.account, address.mailbox)

    of_account = parsed(address.account)
    if of_account is not None:
        assert (of_account.account, of_account.mailbox) == (address.account, address.mailbox)


@given(_likely, _likely)
def test_one_account_is_one_mailbox(one: str, other: str) -> None:
    """A budget of mails is never split by what does not split an identity."""
    first, second = parsed(one), parsed(other)
    if first is not None and second is not None and first.account == second.account:
        assert first.mailbox == second.mailbox


@given(_likely)
def test_case_blanks_and_a_dot_change_nothing(text: str) -> None:
    """ASCII case of either side, blanks around, one trailing dot."""
    address = parsed(text.removesuffix("."))
    if address is None:
        return

    swapped = "".join(mark.swapcase() if mark.isascii() else mark for mark in address.given)

    for spelling in (swapped, f"\u00a0{address.given} ", f"{address.given}."):
        other = parsed(spelling)
        assert other is not None
        assert (other.account, other.mailbox) == (address.account, address.mailbox)


@given(_anything)
def test_mail_goes_where_the_account_is_or_nowhere(text: str) -> None:
    """What is put into RCPT TO names the same account, on one line."""
    address = parsed(text)
    try:
        recipient = envelope_recipient(text).addr_spec
    except MailRefused:
        return

    assert address is not None
    assert recipient.isprintable()

    there = parse_address(recipient)

    assert there is not None and there.account == address.account
