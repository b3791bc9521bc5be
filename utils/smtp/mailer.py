"""The mail server, over SMTP (RFC 5321). TLS is always verified where it is used."""

import asyncio
import email.utils
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.headerregistry import Address, HeaderRegistry
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from typing import Any, Final, Literal, Protocol

import aiosmtplib

from activities.addresses import parse_address
from activities.errors import MailRefused, MailUnavailable
from activities.ports import CodeMail
from utils.smtp.mail_templates import MailText
from utils.smtp.connections import SmtpConnections, log_answer, quit_politely

Security = Literal["starttls", "tls", "none"]

_BOUNDARY: Final = "=_code"
"""Stands in no part: both are quoted-printable, where ``=`` comes before hex digits or the end of a line (RFC 2045)."""

_PERMANENT = 500
_AUTHENTICATION_REQUIRED = 530  # RFC 4954: the settings' fault, not the recipient's


class _Headers(HeaderRegistry):
    """Makes the class of a header once. The library makes it for each header of each mail: half the time of a mail."""

    def __init__(self) -> None:
        super().__init__()
        self._classes: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        known = name.lower()
        if known not in self._classes:
            self._classes[known] = super().__getitem__(name)
        return self._classes[known]


_HEADERS: Final = _Headers()
_ASCII: Final = SMTP.clone(header_factory=_HEADERS)
_UTF8: Final = SMTPUTF8.clone(header_factory=_HEADERS)


class Renderer(Protocol):
    """What makes a mail's text."""

    def render(self, mail: CodeMail, now: datetime) -> MailText:
        """Return the mail as it reads at ``now``."""
        ...


class SmtpMailer:
    """Fulfils ``Mailer``. No two mails share a connection at a time, so one's trouble never delays another.

    ``sender``: an address, or ``Name <address>``. ``cafile``: trusted besides nothing else (PEM), the system's store
    without. A whole try, from connect to the answer after DATA, ends within ``timeout_s`` seconds. A connection takes
    ``mails_per_connection`` one after the other; it must be closed in the end.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        security: Security,
        sender: str,
        renderer: Renderer,
        username: str | None = None,
        password: str | None = None,
        cafile: str | None = None,
        timeout_s: float = 8.0,
        mails_per_connection: int = 50,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._host = host
        self._port = port
        self._security = security
        self._sender = sender_address(sender)
        self._renderer = renderer
        self._username = username
        self._password = password
        self._context = None if security == "none" else ssl.create_default_context(cafile=cafile)
        self._timeout_s = timeout_s
        self._clock = clock
        self._connections = SmtpConnections(self._client, mails_per_connection)

    async def send(self, mail: CodeMail) -> None:
        """Return once the server accepted the mail.

        Raises ``MailRefused`` for a 5xx answer to the envelope or the data, else ``MailUnavailable``: also when the
        server refuses us (greeting, TLS, AUTH), which is no fault of the recipient's.
        """
        recipient = envelope_recipient(mail.recipient)
        message = self._message(mail, recipient)
        try:
            async with asyncio.timeout(self._timeout_s), self._connections.lent() as client:
                await _transmit(client, message, self._sender.addr_spec, recipient.addr_spec)
        except TimeoutError:
            raise MailUnavailable from None

    async def probe(self) -> str | None:
        """Get in as for a mail, and leave; return the version of TLS, if there is one.

        Raises what aiosmtplib and the system raise.
        """
        client = self._client()
        try:
            async with asyncio.timeout(self._timeout_s):
                await client.connect()
                await client.ehlo()
            secured = client.get_transport_info("ssl_object")
            return None if secured is None else str(secured.version())
        finally:
            await quit_politely(client)

    async def close(self) -> None:
        """Say goodbye to the mail server."""
        await self._connections.close()

    def _client(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            use_tls=self._security == "tls",
            start_tls=self._security == "starttls",
            tls_context=self._context,
            username=self._username,
            password=self._password,
            timeout=self._timeout_s,
            local_hostname=socket.gethostname(),  # the default asks DNS, and blocks the loop while it does
        )

    def _message(self, mail: CodeMail, recipient: Address) -> EmailMessage:
        now = self._clock()
        written = self._renderer.render(mail, now)
        message = EmailMessage(policy=_ASCII if (self._sender.addr_spec + recipient.addr_spec).isascii() else _UTF8)
        message["From"] = self._sender
        message["To"] = recipient
        message["Subject"] = written.subject
        message["Date"] = now
        message["Message-ID"] = mail.message_id
        message["Auto-Submitted"] = "auto-generated"
        # Quoted-printable: safe on every path, and the code stays legible in the source of the mail.
        message.set_content(written.text, cte="quoted-printable")
        message.make_alternative(_BOUNDARY)
        message.add_alternative(written.html, subtype="html", cte="quoted-printable")
        message["Content-Language"] = written.language  # last: setting the content drops all that is said of content
        return message


def sender_address(text: str) -> Address:
    """Return the sender in ``text``. Raises ``ValueError`` if it is no address."""
    name, spec = email.utils.parseaddr(text)
    address = parse_address(spec)
    if address is None or not name.isprintable():
        raise ValueError("the sender is neither an address nor Name <address>")
    return Address(display_name=name, username=spec.rpartition("@")[0], domain=address.domain)


def envelope_recipient(given: str) -> Address:
    """Return where the mail goes: the address as given. A domain with U-labels goes as A-labels: few need SMTPUTF8.

    Raises ``MailRefused`` if it is no address: nothing but an address ever gets into a command or a header.
    """
    address = parse_address(given)
    if address is None:
        raise MailRefused
    try:
        local, _, domain = address.given.rpartition("@")
        return Address(username=local, domain=domain if domain.isascii() else address.domain)
    except ValueError:
        raise MailRefused from None


async def _transmit(client: aiosmtplib.SMTP, message: EmailMessage, sender: str, recipient: str) -> None:
    # A mail that needs no SMTPUTF8 is 7-bit throughout; one that does is not, and a server that takes it takes 8-bit.
    options = [] if message.policy is _ASCII else ["SMTPUTF8", "BODY=8BITMIME"]
    try:
        await client.sendmail(sender, [recipient], message.as_bytes(), mail_options=options)
    except (aiosmtplib.SMTPException, OSError) as error:
        log_answer("the mail server did not take a mail", error)
        raise (MailRefused if _is_final(error) else MailUnavailable) from None


def _is_final(error: Exception) -> bool:
    match error:
        case aiosmtplib.SMTPNotSupported():  # no SMTPUTF8 there, and this address needs it
            return True
        case aiosmtplib.SMTPRecipientsRefused():
            return all(_is_final(refused) for refused in error.recipients)
        case aiosmtplib.SMTPSenderRefused() | aiosmtplib.SMTPRecipientRefused() | aiosmtplib.SMTPDataError():
            return error.code >= _PERMANENT and error.code != _AUTHENTICATION_REQUIRED
        case _:
            return False
