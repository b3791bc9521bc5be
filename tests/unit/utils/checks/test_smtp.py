"""What the check says of a mail server, and of each reason why it cannot be used."""

from typing import Any

import pytest

from deploy.local.servers.mail_server import MailServer
from deploy.local.places import free_ports
from tests.unit.utils.smtp.test_message import WithoutSmtpUtf8
from utils.smtp.mail_templates import MailTemplates
from utils.smtp.mailer import SmtpMailer
from utils.checks.smtp import check_mail_server
from utils.checks.finding import Finding


async def found(server: MailServer, **options: Any) -> Finding:
    """Check a server, by default with the options that it requires."""
    settings: dict[str, Any] = {
        "host": server.host,
        "port": server.port,
        "security": server.security,
        "cafile": str(server.cafile) if server.cafile else None,
        "username": server.credentials and server.credentials[0],
        "password": server.credentials and server.credentials[1],
    }

    settings |= {"sender": "a@mail.example"} | options
    mailer = SmtpMailer(renderer=MailTemplates(None), timeout_s=3, **settings)
    return await check_mail_server(mailer, "mail")


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_usable_server_is_reported_with_its_tls_version(security: Any) -> None:
    """The check connects with TLS and logs in where the server wants it. It sends no mail."""
    server = MailServer(security=security, credentials=("ada", "hush") if security == "starttls" else None)
    await server.start()
    try:
        finding = await found(server)

        assert (finding.ok, finding.text) == (True, "mail accepts our connection over TLSv1.3.")
        assert (server.connections, server.mails) == (1, [])
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("options", "text", "fix"),
    [
        ({"password": "wrong"}, "refuses the login (535)", "__PASSWORD"),
        ({"cafile": None}, "certificate is not trusted (", "__CAFILE"),
        ({"security": "tls"}, "TLS handshake fails", "__SECURITY"),
        ({"security": "none"}, "offers no login", "__SECURITY"),
        ({"port": 0}, "nobody answers", "__PORT"),
    ],
)
async def test_each_reason_has_its_own_text_and_fix(options: dict[str, Any], text: str, fix: str) -> None:
    """The server requires STARTTLS, a private CA and a login; the client gets one of them wrong."""
    server = MailServer(security="starttls", credentials=("ada", "hush"))
    if options.get("port") == 0:
        options = {"port": free_ports(1)[0]}

    await server.start()
    try:
        finding = await found(server, **options)
    finally:
        await server.stop()

    assert not finding.ok
    assert text in finding.text
    assert fix in str(finding.fix)
    assert "wrong" not in finding.line() and "hush" not in finding.line()


async def test_a_server_without_starttls_is_reported(mail_server: MailServer) -> None:
    """A server that offers no STARTTLS fails the check if the settings want it."""
    finding = await found(mail_server, security="starttls")
    assert "offers no STARTTLS" in finding.text
    assert "587" in str(finding.fix)


async def test_a_sender_that_needs_smtputf8_is_reported_where_the_server_lacks_it() -> None:
    """No mail would leave: the check fails and names the sender."""
    server = WithoutSmtpUtf8()
    await server.start()
    try:
        finding = await found(server, security="none", sender="jürgen@mail.example")
    finally:
        await server.stop()

    assert not finding.ok
    assert "SIGNIN_SMTP__SENDER" in str(finding.fix)
