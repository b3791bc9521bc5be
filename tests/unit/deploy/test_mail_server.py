"""The local SMTP server keeps the mails it receives and replies as scripted."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from email.message import EmailMessage
from typing import Literal

import aiosmtplib
import pytest

from deploy.local.servers.mail_server import MailServer, Reply

Start = Callable[[MailServer], Awaitable[MailServer]]


@pytest.fixture
async def started() -> AsyncIterator[Start]:
    """Return a function that starts a server, which is stopped after the test."""
    async with AsyncExitStack() as stack:

        async def start(server: MailServer) -> MailServer:
            await server.start()
            stack.push_async_callback(server.stop)
            return server

        yield start


def _mail(recipient: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "signin@mail.example"
    mail["To"] = recipient
    mail["Subject"] = "Your code"
    mail.set_content("in plain text")
    mail.add_alternative("<p>in HTML</p>", subtype="html")
    return mail


async def _send(server: MailServer, recipient: str = "ada@ok.example", login: tuple[str, str] | None = None) -> None:
    context = ssl.create_default_context(cafile=str(server.cafile)) if server.cafile else None
    await aiosmtplib.send(
        _mail(recipient),
        hostname=server.host,
        port=server.port,
        use_tls=server.security == "tls",
        start_tls=server.security == "starttls",
        tls_context=context,
        username=login[0] if login else None,
        password=login[1] if login else None,
        timeout=5,
    )


async def test_a_mail_is_kept_with_both_bodies(mail_server: MailServer) -> None:
    """Sender, recipients, both bodies and the raw mail can be read."""
    await _send(mail_server)
    mail = await mail_server.mail_to("ada@ok.example")
    assert (mail.sender, mail.recipients) == ("signin@mail.example", ("ada@ok.example",))
    assert (mail.text().strip(), mail.text("html").strip()) == ("in plain text", "<p>in HTML</p>")
    assert mail.accepted and not mail.encrypted and mail.username is None
    assert b"Subject: Your code" in mail.raw
    assert mail_server.mails == [mail]


async def test_a_scripted_recipient_is_refused_once(mail_server: MailServer) -> None:
    """A scripted reply is given once, and only to its recipient."""
    mail_server.script("ada@ok.example", Reply("550 5.1.1 no such mailbox", stage="recipient"))
    await _send(mail_server, "bob@ok.example")
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
        await _send(mail_server)
    await _send(mail_server)
    assert [mail.recipients for mail in mail_server.mails] == [("bob@ok.example",), ("ada@ok.example",)]


async def test_a_mail_that_is_deferred_is_not_accepted(mail_server: MailServer) -> None:
    """After a 4xx reply to the data, the mail is kept but not marked as accepted; the next one is accepted."""
    mail_server.script("ada@ok.example", Reply("451 4.3.0 later", delay_s=0.01))
    with pytest.raises(aiosmtplib.SMTPDataError):
        await _send(mail_server)
    await _send(mail_server)
    assert [mail.accepted for mail in mail_server.mails] == [False, True]
    assert await mail_server.mail_to("ada@ok.example") is mail_server.mails[1]


async def test_the_server_can_hang_up_after_the_data(mail_server: MailServer) -> None:
    """The client gets no reply, although the server has the mail."""
    mail_server.script("ada@ok.example", Reply(hang_up=True))
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await _send(mail_server)
    assert [mail.accepted for mail in mail_server.mails] == [False]


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # the whole connection is TLS
@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_tls_and_login(started: Start, security: Literal["starttls", "tls"]) -> None:
    """With TLS and credentials, mails arrive encrypted with the user's name; a wrong password is refused."""
    server = await started(MailServer(security=security, credentials=("worker", "secret")))
    await _send(server, login=("worker", "secret"))
    assert (server.mails[0].encrypted, server.mails[0].username) == (True, "worker")
    with pytest.raises(aiosmtplib.SMTPAuthenticationError):
        await _send(server, login=("worker", "wrong"))
    assert len(server.mails) == 1


async def test_a_timeout_tells_how_many_mails_arrived(mail_server: MailServer) -> None:
    """The error at the deadline contains the number of mails so far."""
    await _send(mail_server)
    with pytest.raises(TimeoutError, match="1 of 2 within"):
        await mail_server.mail_to("ada@ok.example", count=2, within_s=0.01)


async def test_stop_may_be_called_at_any_time() -> None:
    """A second stop, and a stop before the start, do nothing."""
    server = MailServer(security="tls")
    await server.stop()
    await server.start()
    await server.stop()
    await server.stop()
    assert server.cafile is not None and not server.cafile.exists()
