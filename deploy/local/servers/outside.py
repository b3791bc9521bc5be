"""The servers outside: those that a worker needs beside Kafka and Temporal."""

from deploy.local.servers.dns_server import DnsServer
from deploy.local.servers.mail_server import MailServer
from deploy.local.servers.siteverify import SiteverifyServer


def outside_settings(mail_server: MailServer, siteverify: SiteverifyServer, dns_server: DnsServer) -> dict[str, str]:
    """Return the settings with which a worker reaches these servers."""
    return {
        "SIGNIN_SMTP__HOST": mail_server.host,
        "SIGNIN_SMTP__PORT": str(mail_server.port),
        "SIGNIN_TURNSTILE__URL": siteverify.url,
        "SIGNIN_DNS__NAMESERVERS": dns_server.host,
        "SIGNIN_DNS__PORT": str(dns_server.port),
    }
