"""What is told of a mail server that does not let us in: each reason has its own words."""

from typing import Any

import pytest

from deploy.local.servers.mail_server import MailServer
from deploy.local.places import free_ports
from utils.smtp.mail_templates import MailTemplates
from utils.smtp.mailer import SmtpMailer
from utils.checks.smtp import check_mail_server
from utils.checks.finding import Finding


async def found(server: MailServer, **options: Any) -> Finding:
    """Check a server, by default with what it wants."""
    settings: dict[str, Any] = {
        "host": server.host,
        "port": server.port,
        "security": server.security,
        "cafile": str(server.cafile) if server.cafile else None,
        "username": server.credentials and server.credentials[0],
        "password": server.credentials and server.credentials[1],
    }
    mailer = SmtpMailer(sender="a@mail.example", renderer=MailTemplates(None), timeout_s=3, **(settings | options))
    return await check_mail_server(mailer, "mail")


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_it_tells_how_we_got_in(security: Any) -> None:
    """TLS, and a login; the connection is left, and no mail sent."""
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
async def test_each_reason_has_its_own_words(options: dict[str, Any], text: str, fix: str) -> None:
    """A server that wants STARTTLS, an authority of its own and a login, and a client that has one of them wrong."""
    server = MailServer(security="starttls", credentials=("ada", "hush"))
    await server.start()
    try:
        finding = await found(server, **({"port": free_ports(1)[0]} if options.get("port") == 0 else options))
    finally:
        await server.stop()

    assert not finding.ok
    assert text in finding.text
    assert fix in str(finding.fix)
    assert "wrong" not in finding.line() and "hush" not in finding.line()


async def test_a_server_without_tls_is_told(mail_server: MailServer) -> None:
    """No STARTTLS where we want it."""
    finding = await found(mail_server, security="starttls")
    assert "offers no STARTTLS" in finding.text
    assert "587" in str(finding.fix)
