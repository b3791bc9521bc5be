"""Mail over SMTP, against a real server, on the wire."""

import asyncio
import email.policy
import email.utils
from datetime import UTC, datetime, timedelta
from email.headerregistry import HeaderRegistry
from pathlib import Path
from typing import Any, Literal

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from activities.errors import MailRefused, MailUnavailable
from activities.ports import CodeMail
from deploy.local.servers.mail_server import MailServer, Reply
from utils.smtp.mail_templates import MailTemplates, MailText
from utils.smtp.mailer import _HEADERS, Security, SmtpMailer, _is_final, envelope_recipient, sender_address

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
    credentials: tuple[str | None, str | None] = (None, None),
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
    """Headers, envelope and both parts."""
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


async def test_the_code_can_be_read_in_the_source_of_both_parts(mail_server: MailServer) -> None:
    """Nothing is encoded away: two lines of the source are the code, and no line is longer than SMTP allows."""
    await mailer(mail_server).send(mail())
    lines = mail_server.mails[0].raw.splitlines()
    assert lines.count(b"01234567") == 2
    assert max(map(len, lines)) <= 78


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_tls_with_login(security: Security) -> None:
    """Both kinds of TLS work, verified by the given file, and then the login is made."""
    server = MailServer(security=security, credentials=("worker", "secret"))
    await server.start()
    sending = mailer(server, security=security, cafile=server.cafile, credentials=("worker", "secret"))
    await sending.probe()
    await sending.send(mail())
    assert [(each.encrypted, each.username) for each in server.mails] == [(True, "worker")]
    await server.stop()


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(security: Security) -> None:
    """The mail is not sent, and the recipient is not to blame."""
    server = MailServer(security=security)
    await server.start()
    with pytest.raises(MailUnavailable):
        await mailer(server, security=security).send(mail())
    assert server.mails == []
    await server.stop()


async def test_without_starttls_nothing_is_sent(mail_server: MailServer) -> None:
    """A server, or someone in between, that hides STARTTLS gets no mail in clear."""
    with pytest.raises(MailUnavailable):
        await mailer(mail_server, security="starttls").send(mail())
    assert mail_server.mails == []


async def test_a_wrong_password_is_not_the_recipients_fault() -> None:
    """The 535 answer to AUTH is 5xx, but the mail can be sent once the settings are right."""
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
async def test_the_first_digit_decides(
    mail_server: MailServer,
    caplog: pytest.LogCaptureFixture,
    stage: Literal["recipient", "data"],
    answer: str,
    error: type[Exception],
) -> None:
    """5xx is never, 4xx is not now. What the server says is not repeated: it holds the address."""
    mail_server.script("ada@example.com", Reply(answer, stage))
    with pytest.raises(error) as raised:
        await mailer(mail_server).send(mail())
    assert "ada" not in f"{raised.value} {caplog.text} {[record.__dict__ for record in caplog.records]}"
    await mailer(mail_server).send(mail())
    assert mail_server.mails[-1].accepted


async def test_hanging_up_after_the_data_is_not_now(mail_server: MailServer) -> None:
    """Nobody knows whether the mail was taken; it is tried again under the same Message-ID."""
    mail_server.script("ada@example.com", Reply(hang_up=True))
    with pytest.raises(MailUnavailable):
        await mailer(mail_server).send(mail())


async def test_a_slow_server_is_not_now(mail_server: MailServer) -> None:
    """A try ends in the time it was given."""
    mail_server.script("ada@example.com", Reply(delay_s=3))
    async with asyncio.timeout(2):
        with pytest.raises(MailUnavailable):
            await mailer(mail_server, timeout_s=0.3).send(mail())


async def test_a_server_that_greets_nobody_is_not_now() -> None:
    """Neither a mail nor a probe waits for ever."""
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


async def test_a_server_that_is_not_there_is_not_now() -> None:
    """The connection is refused."""
    nowhere = MailServer()
    nowhere.port = 1
    with pytest.raises(MailUnavailable):
        await mailer(nowhere).send(mail())


async def test_one_bad_recipient_delays_nobody(mail_server: MailServer) -> None:
    """While one recipient's server takes its time, another's mail is out."""
    mail_server.script("slow@example.com", Reply(delay_s=1))
    sending = mailer(mail_server)
    slow = asyncio.create_task(sending.send(mail("slow@example.com")))
    await sending.send(mail("quick@example.com"))
    assert not slow.done()
    await slow


@pytest.mark.parametrize(
    ("given", "wire", "recoded"),
    [
        ("ada+x@example.com", "ada+x@example.com", False),
        ("Ada@Example.com", None, False),
        ("o'hara!#$%&*/=?^`{|}~@example.com", "o'hara!#$%&*/=?^`{|}~@example.com", False),
        ("ada@münchen.example", "ada@xn--mnchen-3ya.example", False),
        ("jürgen@example.com", "jürgen@example.com", True),
        ("a" * 64 + "@" + ".".join(["b" * 60] * 2) + ".example", None, False),
    ],
)
async def test_every_address_is_reached_as_given(
    mail_server: MailServer, given: str, wire: str | None, recoded: bool
) -> None:
    """Only U-labels of a domain go out as A-labels; SMTPUTF8 is used only for a local part that needs it."""
    await mailer(mail_server).send(mail(given))
    [received] = mail_server.mails
    assert received.recipients == (given if wire is None else wire,)
    assert received.message["To"] == (given if wire is None else wire)
    assert received.raw.isascii() is not recoded


@pytest.mark.parametrize(
    "recipient",
    [
        "no address",
        "a@b@example.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "<ada@example.com> SIZE=1",
        "",
        "a b@c.d",
    ],
)
async def test_nothing_but_an_address_gets_into_a_command(mail_server: MailServer, recipient: str) -> None:
    """Neither the envelope nor a header can be injected into."""
    with pytest.raises(MailRefused):
        await mailer(mail_server).send(mail(recipient))
    assert mail_server.mails == []


def test_what_the_header_cannot_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two parsers need not agree on every address; then no mail is sent."""

    def disagree(**_parts: str) -> None:
        raise ValueError

    monkeypatch.setattr("utils.smtp.mailer.Address", disagree)
    with pytest.raises(MailRefused):
        envelope_recipient("ada@example.com")


async def test_a_sender_beyond_ascii_is_sent_from(mail_server: MailServer) -> None:
    """It is the envelope that needs SMTPUTF8, whichever of its addresses does."""
    await mailer(mail_server, sender="jürgen@mail.example").send(mail())
    [received] = mail_server.mails
    assert (received.sender, received.message["From"]) == ("jürgen@mail.example", "jürgen@mail.example")


class WithoutSmtpUtf8(MailServer):
    """A mail server that takes ASCII alone."""

    def _session(self, starttls: Any) -> SMTP:
        session = super()._session(starttls)
        session.enable_SMTPUTF8 = False
        return session


async def test_what_needs_smtputf8_is_refused_where_there_is_none() -> None:
    """Nothing of it is sent, and all others still arrive there."""
    server = WithoutSmtpUtf8()
    await server.start()
    try:
        with pytest.raises(MailRefused):
            await mailer(server).send(mail("jürgen@example.com"))
        await mailer(server).send(mail())
    finally:
        await server.stop()

    assert [received.recipients for received in server.mails] == [("ada@example.com",)]


class Written:
    """A renderer of what it is given."""

    def __init__(self, text: str) -> None:
        self._written = MailText("en", "Your code", text, text)

    def render(self, _mail: CodeMail, _now: datetime) -> MailText:
        """Return it."""
        return self._written


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1))
@example("--=_code--")
@example("--=_code\n\n01234567")
def test_no_text_of_a_mail_ends_its_part(text: str) -> None:
    """The boundary is always the same, and what a part says stands in that part."""
    sending = SmtpMailer(
        host="mail.example", port=25, security="none", sender=SENDER, renderer=Written(text), clock=lambda: NOW
    )
    message = sending._message(mail(), envelope_recipient("ada@example.com"))
    read = email.message_from_bytes(message.as_bytes(), policy=email.policy.SMTP)
    parts = [part.get_content() for part in read.iter_parts()]
    assert [part.splitlines() for part in parts] == [text.splitlines()] * 2


def test_headers_are_of_the_librarys_classes() -> None:
    """Keeping a class changes nothing of it, and each header has its own."""
    for name in (*HeaderRegistry().registry, "Auto-Submitted", "X-Other"):
        theirs, ours = HeaderRegistry()[name], _HEADERS[name]
        assert (ours.__name__, ours.__bases__) == (theirs.__name__, theirs.__bases__)
        assert _HEADERS[name.upper()] is ours


async def test_a_long_message_id_is_not_recoded(mail_server: MailServer) -> None:
    """It stays as it is: other systems compare it byte for byte."""
    message_id = f"<{'x' * 43}@{'mail.' * 12}example>"
    await mailer(mail_server).send(mail(message_id=message_id))
    assert mail_server.mails[0].message["Message-ID"] == message_id
    assert message_id.encode() in mail_server.mails[0].raw


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("signin@mail.example", "signin@mail.example"),
        ("Sign-in <signin@mail.example>", "Sign-in <signin@mail.example>"),
        ("Müller, GmbH <signin@münchen.example>", None),
        ('"Müller, GmbH" <signin@münchen.example>', '"Müller, GmbH" <signin@xn--mnchen-3ya.example>'),
        ("", None),
        ("nobody", None),
    ],
)
def test_a_sender_is_an_address_with_or_without_a_name(text: str, shown: str | None) -> None:
    """Anything else is refused at once, not with the first mail."""
    if shown is None:
        with pytest.raises(ValueError, match="sender"):
            sender_address(text)
    else:
        assert str(sender_address(text)) == shown


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
def test_what_is_final(error: Exception, final: bool) -> None:
    """Only a 5xx answer about this mail is; 530 asks for a login, so it is about us."""
    assert _is_final(error) is final
