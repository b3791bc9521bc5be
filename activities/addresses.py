"""The two canonical forms of an e-mail address (SECURITY S14).

An *account* is an identity: NFC, A-label domain, ASCII letters in lower case, nothing else.
A *mailbox* is where mail lands, and what send budgets are counted by: NFKC, case-folded,
``+tag`` dropped, A-label domain. Provider-specific rules (dots in Gmail addresses) are not
applied, because they change.
"""

import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

_BLANKS = "\t \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}"

_MAX_LOCAL_PART = 64  # octets, RFC 5321 section 4.5.3.1.1


@dataclass(frozen=True)
class Address:
    """A syntactically valid address. Mail goes to ``given``; the other forms are never shown."""

    given: str
    account: str
    mailbox: str
    domain: str

    def __repr__(self) -> str:
        """Hide the address: it must not appear in a log."""
        return "Address(***)"


def parse_address(text: str) -> Address | None:
    """Return the address in ``text``, or None if ``text`` is not an address.

    Surrounding blanks, including those that people paste, and one trailing dot of the domain
    are dropped. Quoted local parts and domain literals are not accepted. Whether the domain
    exists is a question for DNS: names such as ``.test`` pass.
    """
    given = _clean(text)
    local = given.rpartition("@")[0]
    domain = _valid_domain(given, local)
    if domain is None:
        return None

    account = _lower_ascii(local)
    mailbox = _without_tag(_fold(local))

    return Address(
        given=given,
        account=f"{account}@{domain}",
        mailbox=f"{mailbox}@{domain}",
        domain=domain,
    )


def _clean(text: str) -> str:
    trimmed = text.strip(_BLANKS).removesuffix(".")
    # NFC first, so that mail goes to the spelling that the account is derived from: the
    # Kelvin sign becomes a K.
    return unicodedata.normalize("NFC", trimmed)


def _valid_domain(given: str, local: str) -> str | None:
    """Return the domain as A-labels, or None if the address is not valid."""
    try:
        if len(local.encode()) > _MAX_LOCAL_PART:
            return None
        valid = validate_email(
            given,
            check_deliverability=False,
            allow_smtputf8=True,
            test_environment=True,
        )
    except (EmailNotValidError, UnicodeEncodeError):  # the latter for an unpaired surrogate
        return None

    return valid.ascii_domain.lower()


def _lower_ascii(local: str) -> str:
    # NFC again: J with a caron is two characters, j with a caron is one.
    return unicodedata.normalize("NFC", local.translate(_ASCII_LOWER))


def _fold(local: str) -> str:
    folded = unicodedata.normalize("NFKC", local).casefold()
    return unicodedata.normalize("NFKC", folded)


def _without_tag(local: str) -> str:
    """Drop ``+tag``, unless nothing would be left."""
    return local.partition("+")[0] or local


def masked(text: str) -> str:
    """Return what an operator may see of an address: ``a***@e***.com``, or ``***`` for other text.

    It is enough to follow up a complaint by someone who states their address, and too little
    to write to anyone.
    """
    local, at, domain = text.strip().rpartition("@")
    name, dot, top = domain.rpartition(".")
    if not (local and at and name and top.isascii() and top.isalpha()):
        return "***"
    return f"{local[0]}***@{name[0]}***{dot}{top.lower()}"
