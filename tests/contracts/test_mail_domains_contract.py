"""The contract of ``MailDomains``, for the fake and for DNS with a real server."""

import pytest

from activities.ports import MailDomains
from deploy.local.servers.dns_server import DnsServer
from tests.fakes.mail_domains import FakeMailDomains
from utils.dns import DnsMailDomains


@pytest.fixture(params=["fake", "dns"])
def domains(request: pytest.FixtureRequest, dns_server: DnsServer) -> MailDomains:
    """Give each in turn. The fake has the same domains as the server."""
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
async def test_each_kind_of_domain_accepts_mail_or_not(domains: MailDomains, domain: str, accepts: bool) -> None:
    """NXDOMAIN, a null MX, and neither MX nor address mean no; an unclear answer means yes. A repeat gives the same."""
    assert [await domains.accept_mail(domain) for _ in range(2)] == [accepts, accepts]
