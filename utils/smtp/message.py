"""Builds the mail that goes over the wire: addresses, headers and parts (RFC 5322, RFC 6532)."""

import email.utils
from datetime import datetime
from email.headerregistry import Address, HeaderRegistry
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from typing import Any, Final, Protocol

from activities.addresses import parse_address
from activities.errors import MailRefused
from activities.ports import CodeMail
from utils.smtp.mail_templates import MailText

_BOUNDARY: Final = "=_code"
"""Occurs in no part: in quoted-printable, hex digits or a line end follow ``=`` (RFC 2045)."""


class _Headers(HeaderRegistry):
    """Creates each header class once.

    The library creates one for each header of each mail, which is half the time a mail takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._classes: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        key = name.lower()
        if key not in self._classes:
            self._classes[key] = super().__getitem__(name)
        return self._classes[key]


_HEADERS: Final = _Headers()
_ASCII: Final = SMTP.clone(header_factory=_HEADERS)
_UTF8: Final = SMTPUTF8.clone(header_factory=_HEADERS)


class Renderer(Protocol):
    """Renders the text of a mail."""

    def render(self, mail: CodeMail, now: datetime) -> MailText:
        """Return the mail as it reads at ``now``."""
        ...


def build_message(
    mail: CodeMail,
    sender: Address,
    recipient: Address,
    written: MailText,
    now: datetime,
) -> EmailMessage:
    """Return the whole mail. ``needs_smtputf8`` tells whether an address makes it one of RFC 6532."""
    is_ascii = (sender.addr_spec + recipient.addr_spec).isascii()

    message = EmailMessage(policy=_ASCII if is_ascii else _UTF8)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = written.subject
    message["Date"] = now
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"

    # Quoted-printable passes every server, and keeps the code legible in the mail's source.
    message.set_content(written.text, cte="quoted-printable")
    message.make_alternative(_BOUNDARY)
    message.add_alternative(written.html, subtype="html", cte="quoted-printable")
    # Last, because setting the content removes all Content- headers.
    message["Content-Language"] = written.language

    return message


def needs_smtputf8(message: EmailMessage) -> bool:
    """Tell whether only a server with SMTPUTF8 (RFC 6531) can take the mail."""
    return message.policy is _UTF8


def sender_address(text: str) -> Address:
    """Return the sender in ``text``, with a domain of A-labels. Raises ``ValueError`` if it is not one address."""
    parsed = email.utils.getaddresses([text])
    name, spec = parsed[0] if len(parsed) == 1 else ("", "")

    address = parse_address(spec)
    if address is None or not name.isprintable():
        raise ValueError('must look like no-reply@example.com or "Sign-in <no-reply@example.com>"')

    return Address(display_name=name, username=address.given.rpartition("@")[0], domain=address.domain)


def envelope_recipient(given: str) -> Address:
    """Return the address as given, but with a domain of A-labels, so that few need SMTPUTF8.

    Raises ``MailRefused`` if it is not an address. Nothing else ever gets into a command or a
    header.
    """
    address = parse_address(given)
    if address is None:
        raise MailRefused

    local, _, domain = address.given.rpartition("@")
    try:
        return Address(username=local, domain=domain if domain.isascii() else address.domain)
    except ValueError:
        raise MailRefused from None
