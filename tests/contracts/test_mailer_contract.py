"""What every ``Mailer`` does: the fake, and SMTP to a real server."""

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
    """A mailer, and what lies behind it."""

    @property
    def mailer(self) -> Mailer:
        """What is tested."""
        ...

    def refuse(self, recipient: str, *, final: bool) -> None:
        """Let the next try for a recipient go wrong."""
        ...

    def delivered(self) -> list[tuple[str, str]]:
        """Return recipient and code of the accepted mails."""
        ...


class FakeStage:
    """The fake."""

    def __init__(self) -> None:
        self.mailer = FakeMailer()

    def refuse(self, recipient: str, *, final: bool) -> None:
        """Script the fake."""
        self.mailer.script(recipient, MailRefused if final else MailUnavailable)

    def delivered(self) -> list[tuple[str, str]]:
        """Read what the fake keeps."""
        return [(mail.recipient, mail.code.get_secret_value()) for mail in self.mailer.sent]


class SmtpStage:
    """SMTP."""

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
        """Script the server."""
        self._server.script(recipient, Reply("550 never" if final else "450 not now", stage="recipient"))

    def delivered(self) -> list[tuple[str, str]]:
        """Read what the server received."""
        accepted = [mail for mail in self._server.mails if mail.accepted]
        return [(mail.recipients[0], next(filter(str.isdigit, mail.text().splitlines()))) for mail in accepted]


@pytest.fixture(params=["fake", "smtp"])
async def stage(request: pytest.FixtureRequest, mail_server: MailServer) -> AsyncIterator[Stage]:
    """Give each mailer in turn."""
    yield FakeStage() if request.param == "fake" else SmtpStage(mail_server)


def mail(recipient: str, code: str = "01234567") -> CodeMail:
    """Return a mail."""
    return CodeMail(
        recipient=recipient,
        code=SecretStr(code),
        message_id="<1@mail.example>",
        expires_at=NOW + timedelta(minutes=5),
        requested_at=NOW,
    )


async def test_an_accepted_mail_has_the_recipient_and_the_code(stage: Stage) -> None:
    """When ``send`` returns, the mail is there."""
    await stage.mailer.send(mail("ada@example.com"))
    assert stage.delivered() == [("ada@example.com", "01234567")]


async def test_a_final_refusal_is_refused(stage: Stage) -> None:
    """Nothing is delivered."""
    stage.refuse("ada@example.com", final=True)
    with pytest.raises(MailRefused):
        await stage.mailer.send(mail("ada@example.com"))
    assert stage.delivered() == []


async def test_a_passing_refusal_is_unavailable_and_the_next_try_succeeds(stage: Stage) -> None:
    """Nothing is remembered about the first try."""
    stage.refuse("ada@example.com", final=False)
    with pytest.raises(MailUnavailable):
        await stage.mailer.send(mail("ada@example.com"))
    await stage.mailer.send(mail("ada@example.com", "76543210"))
    assert stage.delivered() == [("ada@example.com", "76543210")]


async def test_a_refused_recipient_does_not_concern_others(stage: Stage) -> None:
    """Each mail stands for itself."""
    stage.refuse("bad@example.com", final=True)
    await stage.mailer.send(mail("good@example.com"))
    with pytest.raises(MailRefused):
        await stage.mailer.send(mail("bad@example.com"))
    assert stage.delivered() == [("good@example.com", "01234567")]
