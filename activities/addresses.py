"""The two canonical forms of an e-mail address (SECURITY S14).

An *account* is an identity: NFC, A-label domain, ASCII case folded, nothing else. A *mailbox* is where mail lands, so
what budgets are counted by: NFKC, case-folded, ``+tag`` dropped, A-label domain. No rules of single providers (dots of
Gmail): they change.
"""

import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

_BLANKS = "\t \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}"

_LONGEST_LOCAL_PART = 64  # octets, RFC 5321 section 4.5.3.1.1


@dataclass(frozen=True)
class Address:
    """A syntactically valid address. ``given`` is where mail goes, the others are never shown to anyone."""

    given: str
    account: str
    mailbox: str
    domain: str

    def __repr__(self) -> str:
        """Say nothing: an address has no place in a log."""
        return "Address(***)"


def parse_address(text: str) -> Address | None:
    """Return the address in ``text``, or None if it is none.

    Blanks around it, those that people paste along included, and one trailing dot of its domain are dropped. Quoted
    local parts and domain literals are no addresses here. Whether the domain exists is a question for DNS: names such
    as ``.test`` are let through.
    """
    given = text.strip(_BLANKS).removesuffix(".")
    # NFC at once, so that mail never goes to another spelling than the account was made of: the Kelvin sign is a K.
    given = unicodedata.normalize("NFC", given)
    try:
        if len(given.rpartition("@")[0].encode()) > _LONGEST_LOCAL_PART:
            return None
        valid = validate_email(given, check_deliverability=False, allow_smtputf8=True, test_environment=True)
    except (EmailNotValidError, UnicodeEncodeError):  # the latter for half of a surrogate pair
        return None
    local, domain = given.rpartition("@")[0], valid.ascii_domain.lower()
    account = f"{local.translate(_ASCII_LOWER)}@{domain}"
    return Address(given=given, account=account, mailbox=f"{_without_tag(_fold(local))}@{domain}", domain=domain)


def _fold(local: str) -> str:
    folded = unicodedata.normalize("NFKC", local).casefold()
    return unicodedata.normalize("NFKC", folded)


def _without_tag(local: str) -> str:
    """Drop ``+tag``; a local part that would be empty then is kept whole."""
    return local.partition("+")[0] or local


def masked(text: str) -> str:
    """Return what an operator may see of an address, or of what should be one: ``a***@e***.com``.

    Enough to follow up a complaint of somebody who tells the address, too little to write to anybody.
    """
    local, at, domain = text.strip().rpartition("@")
    name, dot, top = domain.rpartition(".")
    if not (local and at and name and top.isascii() and top.isalpha()):
        return "***"
    return f"{local[0]}***@{name[0]}***{dot}{top.lower()}"
