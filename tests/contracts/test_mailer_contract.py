"""The contract of ``Mailer``, for the fake and for SMTP with a real server."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest
from pydantic import SecretStr

from activities.errors import MailRefused, MailUnavailable
from activities.ports import CodeMail, Mailer
from deploy.local.servers.mail_server import MailServer, Reply
from tests.fakes.mailer import FakeMailer
from utils.smtp.mail_templates import MailTemplates
from utils.smtp.mailer import SmtpMailer

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class Stage(Protocol):
    """A mailer and its mail server."""

    @property
    def mailer(self) -> Mailer:
        """The mailer under test."""
        ...

    def refuse(self, recipient: str, *, final: bool) -> None:
        """Refuse the next mail to a recipient."""
        ...

    def delivered(self) -> list[tuple[str, str]]:
        """Return recipient and code of each accepted mail."""
        ...


class FakeStage:
    """The fake, which has no server."""

    def __init__(self) -> None:
        self.mailer = FakeMailer()

    def refuse(self, recipient: str, *, final: bool) -> None:
        """Script the fake's next answer."""
        self.mailer.script(recipient, MailRefused if final else MailUnavailable)

    def delivered(self) -> list[tuple[str, str]]:
        """Read the fake's mails."""
        return [(mail.recipient, mail.code.get_secret_value()) for mail in self.mailer.sent]


class SmtpStage:
    """The real mailer with a real server."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self.mailer = SmtpMailer(
            host=server.host,
            port=server.port,
            security="none",
            sender="signin@mail.example",
            renderer=MailTemplates(),
            clock=lambda: NOW,
        )

    def refuse(self, recipient: str, *, final: bool) -> None:
        """Script the server's next answer."""
        self._server.script(recipient, Reply("550 never" if final else "450 not now", stage="recipient"))

    def delivered(self) -> list[tuple[str, str]]:
        """Read the server's mails."""
        accepted = [mail for mail in self._server.mails if mail.accepted]
        codes = [next(filter(str.isdigit, mail.text().splitlines())) for mail in accepted]
        return [(mail.recipients[0], code) for mail, code in zip(accepted, codes, strict=True)]


@pytest.fixture(params=["fake", "smtp"])
async def stage(request: pytest.FixtureRequest, mail_server: MailServer) -> AsyncIterator[Stage]:
    """Give each mailer in turn."""
    yield FakeStage() if request.param == "fake" else SmtpStage(mail_server)


def mail(recipient: str, code: str = "01234567") -> CodeMail:
    """Return a mail with a code."""
    return CodeMail(
        recipient=recipient,
        code=SecretStr(code),
        message_id="<1@mail.example>",
        expires_at=NOW + timedelta(minutes=5),
        requested_at=NOW,
    )


async def test_an_accepted_mail_has_the_recipient_and_the_code(stage: Stage) -> None:
    """When ``send`` returns, the server has the mail."""
    await stage.mailer.send(mail("ada@example.com"))
    assert stage.delivered() == [("ada@example.com", "01234567")]


async def test_a_final_refusal_raises_mail_refused(stage: Stage) -> None:
    """The mail is not delivered."""
    stage.refuse("ada@example.com", final=True)
    with pytest.raises(MailRefused):
        await stage.mailer.send(mail("ada@example.com"))
    assert stage.delivered() == []


async def test_a_temporary_refusal_raises_mail_unavailable_once(stage: Stage) -> None:
    """The next try is independent of it and succeeds."""
    stage.refuse("ada@example.com", final=False)
    with pytest.raises(MailUnavailable):
        await stage.mailer.send(mail("ada@example.com"))
    await stage.mailer.send(mail("ada@example.com", "76543210"))
    assert stage.delivered() == [("ada@example.com", "76543210")]


async def test_a_refused_recipient_does_not_affect_others(stage: Stage) -> None:
    """Mails are independent of each other."""
    stage.refuse("bad@example.com", final=True)
    await stage.mailer.send(mail("good@example.com"))
    with pytest.raises(MailRefused):
        await stage.mailer.send(mail("bad@example.com"))
    assert stage.delivered() == [("good@example.com", "01234567")]
