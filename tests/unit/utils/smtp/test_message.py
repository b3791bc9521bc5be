"""The message as it arrives at a real server: addresses, headers and parts."""

import email.policy
from datetime import datetime
from email.headerregistry import HeaderRegistry
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import example, given
from hypothesis import strategies as st

from activities.errors import MailRefused, MailUnavailable
from activities.ports import CodeMail
from deploy.local.servers.mail_server import MailServer
from tests.unit.utils.smtp.test_mailer import NOW, SENDER, mail, mailer
from utils.settings.sections import SmtpSettings
from utils.smtp.mail_templates import MailText
from utils.smtp.mailer import SmtpMailer
from utils.smtp.message import _HEADERS, envelope_recipient, sender_address


@pytest.mark.parametrize(
    ("given", "wire", "is_utf8"),
    [
        ("ada+x@example.com", "ada+x@example.com", False),
        ("Ada@Example.com", None, False),
        ("o'hara!#$%&*/=?^`{|}~@example.com", "o'hara!#$%&*/=?^`{|}~@example.com", False),
        ("ada@münchen.example", "ada@xn--mnchen-3ya.example", False),
        ("jürgen@example.com", "jürgen@example.com", True),
        ("a" * 64 + "@" + ".".join(["b" * 60] * 2) + ".example", None, False),
    ],
)
async def test_mail_is_sent_to_the_address_as_given(
    mail_server: MailServer, given: str, wire: str | None, is_utf8: bool
) -> None:
    """Only a domain's U-labels become A-labels, and SMTPUTF8 is used only for a local part that needs it."""
    expected = given if wire is None else wire

    await mailer(mail_server).send(mail(given))
    [received] = mail_server.mails

    assert received.recipients == (expected,)
    assert received.message["To"] == expected
    assert received.raw.isascii() is not is_utf8


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
async def test_only_an_address_gets_into_a_command(mail_server: MailServer, recipient: str) -> None:
    """Nothing can be injected into the envelope or a header."""
    with pytest.raises(MailRefused):
        await mailer(mail_server).send(mail(recipient))

    assert mail_server.mails == []


def test_an_address_that_the_header_rejects_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the two parsers disagree about an address, no mail is sent."""

    def reject(**_parts: str) -> None:
        raise ValueError

    monkeypatch.setattr("utils.smtp.message.Address", reject)
    with pytest.raises(MailRefused):
        envelope_recipient("ada@example.com")


@pytest.mark.parametrize(
    ("sender", "domain"),
    [
        ("signin@münchen.example", "xn--mnchen-3ya.example"),
        ("Müller <signin@faß.example>", "xn--fa-hia.example"),
        ("signin@mail.example.", "mail.example"),
        ("jürgen@münchen.example", "xn--mnchen-3ya.example"),
        ("Sign-in <signin@Mail.Example>", "mail.example"),
    ],
)
async def test_whatever_sender_the_settings_accept_can_send(mail_server: MailServer, sender: str, domain: str) -> None:
    """The ``Message-ID`` is made of the sender's domain as A-labels."""
    message_id = f"<abc@{SmtpSettings(sender=sender).message_id_domain}>"

    await mailer(mail_server, sender=sender).send(mail(message_id=message_id))
    [received] = mail_server.mails

    assert received.message["Message-ID"] == f"<abc@{domain}>"
    assert received.sender.rpartition("@")[2] == domain


async def test_a_sender_may_be_non_ascii(mail_server: MailServer) -> None:
    """SMTPUTF8 is used if either address of the envelope needs it."""
    await mailer(mail_server, sender="jürgen@mail.example").send(mail())
    [received] = mail_server.mails

    assert (received.sender, received.message["From"]) == ("jürgen@mail.example", "jürgen@mail.example")


class WithoutSmtpUtf8(MailServer):
    """A mail server that accepts ASCII only."""

    def _session(self, starttls: Any) -> SMTP:
        session = super()._session(starttls)
        session.enable_SMTPUTF8 = False
        return session


async def test_without_smtputf8_a_non_ascii_address_is_refused() -> None:
    """No part of the mail is sent, and other mails still arrive."""
    server = WithoutSmtpUtf8()
    await server.start()

    with pytest.raises(MailRefused):
        await mailer(server).send(mail("jürgen@example.com"))
    await mailer(server).send(mail())
    await server.stop()

    assert [received.recipients for received in server.mails] == [("ada@example.com",)]


async def test_without_smtputf8_a_non_ascii_sender_says_nothing_about_recipients() -> None:
    """The settings are wrong, not the recipient's address, so the mail is tried again."""
    server = WithoutSmtpUtf8()
    await server.start()

    with pytest.raises(MailUnavailable):
        await mailer(server, sender="jürgen@mail.example").send(mail())
    await server.stop()

    assert server.mails == []


class FixedRenderer:
    """A renderer that always returns the same text."""

    def __init__(self, text: str) -> None:
        self._text = MailText("en", "Your code", text, text)

    def render(self, _mail: CodeMail, _now: datetime) -> MailText:
        """Return the text."""
        return self._text


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1))
@example("--=_code--")
@example("--=_code\n\n01234567")
def test_no_text_can_end_its_part(text: str) -> None:
    """The boundary is constant, and each part still contains its whole text."""
    sending = SmtpMailer(
        host="mail.example", port=25, security="none", sender=SENDER, renderer=FixedRenderer(text), clock=lambda: NOW
    )

    message = sending._message(mail(), envelope_recipient("ada@example.com"))
    parsed = email.message_from_bytes(message.as_bytes(), policy=email.policy.SMTP)
    parts = [part.get_content() for part in parsed.iter_parts()]

    assert [part.splitlines() for part in parts] == [text.splitlines()] * 2


def test_cached_header_classes_are_those_of_the_library() -> None:
    """Caching changes no class, and no two headers share one."""
    for name in (*HeaderRegistry().registry, "Auto-Submitted", "X-Other"):
        theirs = HeaderRegistry()[name]
        ours = _HEADERS[name]

        assert (ours.__name__, ours.__bases__) == (theirs.__name__, theirs.__bases__)
        assert _HEADERS[name.upper()] is ours


async def test_a_long_message_id_is_not_encoded(mail_server: MailServer) -> None:
    """Other systems compare it byte for byte."""
    message_id = f"<{'x' * 43}@{'mail.' * 12}example>"

    await mailer(mail_server).send(mail(message_id=message_id))
    [received] = mail_server.mails

    assert received.message["Message-ID"] == message_id
    assert message_id.encode() in received.raw


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("signin@mail.example", "signin@mail.example"),
        ("Sign-in <signin@mail.example>", "Sign-in <signin@mail.example>"),
        ("Müller, GmbH <signin@münchen.example>", None),
        ('"Müller, GmbH" <signin@münchen.example>', '"Müller, GmbH" <signin@xn--mnchen-3ya.example>'),
        ("signin@mail.example.", "signin@mail.example"),
        ("one@mail.example, two@mail.example", None),
        ("", None),
        ("nobody", None),
    ],
)
def test_a_sender_is_an_address_or_a_name_and_an_address(text: str, shown: str | None) -> None:
    """Any other text raises at once, not with the first mail."""
    if shown is None:
        with pytest.raises(ValueError, match="must look like"):
            sender_address(text)
    else:
        assert str(sender_address(text)) == shown
