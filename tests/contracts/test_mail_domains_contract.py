"""What every ``MailDomains`` does: the fake, and DNS asked of a real server."""

import pytest

from activities.ports import MailDomains
from deploy.local.servers.dns_server import DnsServer
from tests.fakes.mail_domains import FakeMailDomains
from utils.dns import DnsMailDomains


@pytest.fixture(params=["fake", "dns"])
def domains(request: pytest.FixtureRequest, dns_server: DnsServer) -> MailDomains:
    """Give each in turn; the fake's zone is the server's."""
    if request.param == "fake":
        return FakeMailDomains(["nxdomain.test", "nullmx.test", "nomail.test"])
    return DnsMailDomains([dns_server.host], dns_server.port, timeout_s=0.3)


@pytest.mark.parametrize(
    ("domain", "accepts"),
    [
        ("mail.example", True),
        ("addressonly.test", True),
        ("servfail.test", True),
        ("slow.test", True),
        ("nxdomain.test", False),
        ("NxDomain.TEST", False),
        ("nullmx.test", False),
        ("nomail.test", False),
    ],
)
async def test_the_answers_of_the_contract(domains: MailDomains, domain: str, accepts: bool) -> None:
    """NXDOMAIN, a null MX, and neither MX nor address are no; anything unclear is yes; the same when asked again."""
    assert [await domains.accept_mail(domain) for _ in range(2)] == [accepts, accepts]
