"""Sends mail over SMTP (RFC 5321). Where TLS is used, certificates are always verified."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Literal

import aiosmtplib

from activities.errors import MailRefused, MailUnavailable
from activities.ports import CodeMail
from utils.files import Reloaded, Secret, reveal
from utils.smtp.connections import ConnectionPool, log_failure, quit_politely
from utils.smtp.message import Renderer, build_message, envelope_recipient, needs_smtputf8, sender_address

Security = Literal["starttls", "tls", "none"]

_PERMANENT = 500
_AUTHENTICATION_REQUIRED = 530  # RFC 4954: the settings are wrong, not the recipient


class SmtpMailer:
    """Implements ``Mailer``. No two mails share a connection at a time, so none delays another.

    ``sender``: an address, or ``Name <address>``.
    ``cafile``: the only trusted certificates (PEM); without it, the system's.
    ``timeout_s``: seconds for a whole try, from connecting to the answer after DATA.
    ``mails_per_connection``: how many mails a connection takes, one after the other.

    Call ``close`` at the end.
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
        password: Secret | None = None,
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
        self._tls = None if security == "none" else trusting(cafile)
        self._timeout_s = timeout_s
        self._clock = clock
        self._pool = ConnectionPool(self._new_client, mails_per_connection)

    async def send(self, mail: CodeMail) -> None:
        """Return once the server has accepted the mail.

        Raises ``MailRefused`` for a 5xx answer to the envelope or the data, and ``MailUnavailable``
        for any other failure: also when the server refuses the worker (greeting, TLS, AUTH), which
        says nothing about the recipient.
        """
        recipient = envelope_recipient(mail.recipient)
        message = self._message(mail, recipient)

        try:
            async with asyncio.timeout(self._timeout_s), self._pool.acquire() as client:
                await _transmit(client, message, self._sender.addr_spec, recipient.addr_spec)
        except TimeoutError:
            raise MailUnavailable from None

    async def probe(self) -> str | None:
        """Connect and log in as for a mail, then quit. Return the TLS version, if TLS is used.

        Raises the errors of aiosmtplib and of the system; ``SMTPNotSupported`` if the sender's
        address needs SMTPUTF8 and the server does not offer it.
        """
        client = self._new_client()

        try:
            async with asyncio.timeout(self._timeout_s):
                await client.connect()
                await client.ehlo()
            if not (self._sender.addr_spec.isascii() or client.supports_extension("smtputf8")):
                raise aiosmtplib.SMTPNotSupported("SMTPUTF8")

            secured = client.get_transport_info("ssl_object")
            return None if secured is None else str(secured.version())
        finally:
            await quit_politely(client)

    async def close(self) -> None:
        """Quit all connections to the mail server."""
        await self._pool.close()

    def _new_client(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            use_tls=self._security == "tls",
            start_tls=self._security == "starttls",
            tls_context=None if self._tls is None else self._tls.value(),
            username=self._username,
            password=None if self._password is None else reveal(self._password),
            timeout=self._timeout_s,
            local_hostname=socket.gethostname(),  # the default queries DNS, which blocks the loop
        )

    def _message(self, mail: CodeMail, recipient: Address) -> EmailMessage:
        now = self._clock()
        written = self._renderer.render(mail, now)
        return build_message(mail, self._sender, recipient, written, now)


def trusting(cafile: str | None) -> Reloaded[ssl.SSLContext]:
    """Return a TLS context that follows the file of trusted authorities. It is loaded when it is first used."""
    return Reloaded(
        "SMTP certificate authorities",
        [] if cafile is None else [cafile],
        lambda: ssl.create_default_context(cafile=cafile),
    )


async def _transmit(
    client: aiosmtplib.SMTP,
    message: EmailMessage,
    sender: str,
    recipient: str,
) -> None:
    # Without SMTPUTF8 a mail is 7-bit throughout. With it, headers are 8-bit, and a server that
    # offers SMTPUTF8 accepts that.
    options = ["SMTPUTF8", "BODY=8BITMIME"] if needs_smtputf8(message) else []

    try:
        await client.sendmail(sender, [recipient], message.as_bytes(), mail_options=options)
    except (aiosmtplib.SMTPException, OSError) as error:
        log_failure("the mail server did not accept a mail", error)
        is_about_recipient = sender.isascii() or not isinstance(error, aiosmtplib.SMTPNotSupported)
        is_final = is_about_recipient and _is_final(error)
        raise (MailRefused if is_final else MailUnavailable) from None


def _is_final(error: Exception) -> bool:
    """Tell whether a retry of the same mail cannot succeed."""
    match error:
        case aiosmtplib.SMTPNotSupported():  # the address needs SMTPUTF8
            return True
        case aiosmtplib.SMTPRecipientsRefused():
            return all(_is_final(refused) for refused in error.recipients)
        case aiosmtplib.SMTPSenderRefused() | aiosmtplib.SMTPRecipientRefused() | aiosmtplib.SMTPDataError():
            return error.code >= _PERMANENT and error.code != _AUTHENTICATION_REQUIRED
        case _:
            return False
