"""Sending mail over SMTP to a real server: the session, and what its failures mean."""

import asyncio
import email.policy
import email.utils
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import aiosmtplib
import pytest
from pydantic import SecretStr

from activities.errors import MailRefused, MailUnavailable
from activities.ports import CodeMail
from deploy.local.servers.mail_server import MailServer, Reply
from utils.files import Secret, secret_file
from utils.smtp.mail_templates import MailTemplates
from utils.smtp.mailer import Security, SmtpMailer, _is_final

NOW = datetime(2026, 11, 23, 9, 0, 30, tzinfo=UTC)
SENDER = "Sign-in <signin@mail.example>"


def mail(recipient: str = "ada@example.com", message_id: str = "<abc@mail.example>") -> CodeMail:
    """Return a mail."""
    return CodeMail(
        recipient=recipient,
        code=SecretStr("01234567"),
        message_id=message_id,
        expires_at=NOW + timedelta(minutes=5),
        requested_at=NOW,
        locale="de-CH",
        ip="203.0.113.7",
        browser="Firefox",
    )


def mailer(
    server: MailServer,
    *,
    security: Security = "none",
    cafile: Path | None = None,
    credentials: tuple[str | None, Secret | None] = (None, None),
    timeout_s: float = 5,
    sender: str = SENDER,
) -> SmtpMailer:
    """Return a mailer that talks to the server."""
    return SmtpMailer(
        host=server.host,
        port=server.port,
        security=security,
        sender=sender,
        renderer=MailTemplates(),
        username=credentials[0],
        password=credentials[1],
        cafile=None if cafile is None else str(cafile),
        timeout_s=timeout_s,
        clock=lambda: NOW,
    )


async def test_a_mail_arrives_as_the_contract_says(mail_server: MailServer) -> None:
    """Envelope, headers and both parts are as promised."""
    await mailer(mail_server).send(mail())
    [received] = mail_server.mails
    headers = received.message

    assert (received.sender, received.recipients) == ("signin@mail.example", ("ada@example.com",))
    assert (headers["From"], headers["To"]) == (SENDER, "ada@example.com")
    assert headers["Message-ID"] == "<abc@mail.example>"
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers["Subject"] == "Ihr Anmeldecode"
    assert headers["Content-Language"] == "de"
    assert email.utils.parsedate_to_datetime(headers["Date"]) == NOW
    assert headers.get_content_type() == "multipart/alternative"
    assert "01234567" in received.text("plain").splitlines()
    assert "01234567" in received.text("html").splitlines()
    assert "Code für die Anmeldung" in received.text("plain")


async def test_the_code_is_legible_in_the_source_of_both_parts(mail_server: MailServer) -> None:
    """Two lines of the source are the code, and every line is short enough for SMTP."""
    await mailer(mail_server).send(mail())
    lines = mail_server.mails[0].raw.splitlines()

    assert lines.count(b"01234567") == 2
    assert max(map(len, lines)) <= 78


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_the_mailer_logs_in_over_tls(security: Security) -> None:
    """Both kinds of TLS are verified with the given certificates before the login."""
    server = MailServer(security=security, credentials=("worker", "secret"))
    await server.start()
    sending = mailer(server, security=security, cafile=server.cafile, credentials=("worker", "secret"))

    await sending.probe()
    await sending.send(mail())
    await server.stop()

    assert [(each.encrypted, each.username) for each in server.mails] == [(True, "worker")]


async def test_authorities_that_cannot_be_used_yet_only_delay_mails(tmp_path: Path) -> None:
    """The file may be replaced while the worker waits for Temporal: half of it is no reason to end."""
    server = MailServer(security="tls")
    await server.start()
    assert server.cafile is not None
    file = tmp_path / "authorities.pem"
    file.write_text("half a certifi")
    sending = mailer(server, security="tls", cafile=file)

    with pytest.raises(MailUnavailable):
        await sending.send(mail())
    with pytest.raises(OSError):
        await sending.probe()

    file.write_bytes(server.cafile.read_bytes())
    await sending.send(mail())
    await server.stop()

    assert len(server.mails) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_an_unknown_certificate_is_not_trusted(security: Security) -> None:
    """The mail is not sent, and the failure is not the recipient's."""
    server = MailServer(security=security)
    await server.start()

    with pytest.raises(MailUnavailable):
        await mailer(server, security=security).send(mail())
    await server.stop()

    assert server.mails == []


async def test_without_starttls_nothing_is_sent(mail_server: MailServer) -> None:
    """A server, or someone in between, that hides STARTTLS gets no unencrypted mail."""
    with pytest.raises(MailUnavailable):
        await mailer(mail_server, security="starttls").send(mail())
    assert mail_server.mails == []


async def test_a_new_password_is_used_for_the_next_connection(tmp_path: Path) -> None:
    """The password is read from its file when a connection is opened."""
    server = MailServer(security="tls", credentials=("worker", "second"))
    await server.start()
    file = tmp_path / "password"
    file.write_text("first")
    sending = mailer(
        server, security="tls", cafile=server.cafile, credentials=("worker", secret_file("password", file))
    )
    with pytest.raises(MailUnavailable):
        await sending.send(mail())

    file.write_text("second")
    await sending.send(mail())
    await server.stop()

    assert len(server.mails) == 1


async def test_a_failed_login_is_retried() -> None:
    """The answer to AUTH is 535, but it concerns the settings and not the mail."""
    server = MailServer(security="tls", credentials=("worker", "secret"))
    await server.start()
    for credentials in (("worker", "wrong"), (None, None)):
        with pytest.raises(MailUnavailable):
            await mailer(server, security="tls", cafile=server.cafile, credentials=credentials).send(mail())

    with pytest.raises(aiosmtplib.SMTPAuthenticationError):
        await mailer(server, security="tls", cafile=server.cafile, credentials=("worker", "wrong")).probe()

    await server.stop()


@pytest.mark.parametrize("stage", ["recipient", "data"])
@pytest.mark.parametrize(
    ("answer", "error"), [("550 no ada@example.com here", MailRefused), ("451 later", MailUnavailable)]
)
async def test_a_5xx_answer_is_final_and_a_4xx_answer_is_not(
    mail_server: MailServer,
    caplog: pytest.LogCaptureFixture,
    stage: Literal["recipient", "data"],
    answer: str,
    error: type[Exception],
) -> None:
    """The server's text is neither logged nor raised, since it contains the address."""
    mail_server.script("ada@example.com", Reply(answer, stage))
    with pytest.raises(error) as raised:
        await mailer(mail_server).send(mail())
    await mailer(mail_server).send(mail())

    assert "ada" not in f"{raised.value} {caplog.text} {[record.__dict__ for record in caplog.records]}"
    assert mail_server.mails[-1].accepted


async def test_a_disconnect_after_the_data_is_retried(mail_server: MailServer) -> None:
    """Nobody knows whether the mail was accepted, so it is sent again under the same Message-ID."""
    mail_server.script("ada@example.com", Reply(hang_up=True))
    with pytest.raises(MailUnavailable):
        await mailer(mail_server).send(mail())


async def test_a_slow_server_is_retried(mail_server: MailServer) -> None:
    """A try ends within its timeout."""
    mail_server.script("ada@example.com", Reply(delay_s=3))
    async with asyncio.timeout(2):
        with pytest.raises(MailUnavailable):
            await mailer(mail_server, timeout_s=0.3).send(mail())


async def test_a_server_that_never_greets_is_retried() -> None:
    """Neither a mail nor a probe waits beyond its timeout."""
    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: connections.append(writer), "127.0.0.1", 0)
    mute = MailServer()
    mute.port = server.sockets[0].getsockname()[1]

    for call in (mailer(mute, timeout_s=0.3).send(mail()), mailer(mute, timeout_s=0.3).probe()):
        async with asyncio.timeout(2):
            with pytest.raises((MailUnavailable, TimeoutError)):
                await call

    for connection in connections:
        connection.close()

    server.close()


async def test_a_refused_connection_is_retried() -> None:
    """A mail server that is down says nothing about the recipient."""
    nowhere = MailServer()
    nowhere.port = 1
    with pytest.raises(MailUnavailable):
        await mailer(nowhere).send(mail())


async def test_a_slow_recipient_delays_nobody(mail_server: MailServer) -> None:
    """While one mail is waiting for its answer, another is sent."""
    mail_server.script("slow@example.com", Reply(delay_s=1))
    sending = mailer(mail_server)
    slow = asyncio.create_task(sending.send(mail("slow@example.com")))

    await sending.send(mail("quick@example.com"))
    assert not slow.done()

    await slow


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (aiosmtplib.SMTPNotSupported("no SMTPUTF8"), True),
        (aiosmtplib.SMTPSenderRefused(550, "", ""), True),
        (aiosmtplib.SMTPSenderRefused(530, "", ""), False),
        (aiosmtplib.SMTPSenderRefused(451, "", ""), False),
        (aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(550, "", "")]), True),
        (aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(450, "", "")]), False),
        (aiosmtplib.SMTPDataError(554, ""), True),
        (aiosmtplib.SMTPDataError(452, ""), False),
        (aiosmtplib.SMTPResponseException(500, ""), False),
        (aiosmtplib.SMTPServerDisconnected(""), False),
        (aiosmtplib.SMTPReadTimeoutError(""), False),
        (ConnectionResetError(), False),
    ],
)
def test_only_a_5xx_answer_about_the_mail_is_final(error: Exception, final: bool) -> None:
    """530 asks for a login, so it concerns the settings and not the mail."""
    assert _is_final(error) is final
