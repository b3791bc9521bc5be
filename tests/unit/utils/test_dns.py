"""Whether a domain can receive mail, asked of a DNS server."""

from collections.abc import AsyncIterator

import dns.asyncresolver
import dns.rcode
import dns.resolver
import pytest

from deploy.local.servers.dns_server import DnsServer, Records
from utils.dns import DnsMailDomains


class ManualClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


@pytest.fixture
def clock() -> ManualClock:
    """Give a clock."""
    return ManualClock()


@pytest.fixture
async def domains(dns_server: DnsServer, clock: ManualClock) -> AsyncIterator[DnsMailDomains]:
    """Give a client of the local server that caches two verdicts."""
    yield DnsMailDomains([dns_server.host], dns_server.port, timeout_s=0.5, cache_size=2, monotonic=clock)


async def test_a_yes_is_cached_for_as_long_as_dns_says(
    domains: DnsMailDomains, dns_server: DnsServer, clock: ManualClock
) -> None:
    """A yes is cached for its TTL, so a burst of sign-ins sends one query."""
    for _ in range(3):
        assert await domains.accept_mail("Good.Example.")
        clock.now += 25

    assert dns_server.questions == [("good.example", "MX")]

    clock.now += 1
    assert await domains.accept_mail("good.example")
    assert len(dns_server.questions) == 2


async def test_a_no_is_cached_for_a_short_time(
    domains: DnsMailDomains, dns_server: DnsServer, clock: ManualClock
) -> None:
    """A no is cached for 30 seconds: a domain that was just set up is found soon."""
    assert not await domains.accept_mail("nullmx.test")
    assert not await domains.accept_mail("nullmx.test")
    assert len(dns_server.questions) == 1
    clock.now += 31
    dns_server.zone["nullmx.test"] = Records(mx=("10 mx.example.",))
    assert await domains.accept_mail("nullmx.test")


@pytest.mark.parametrize("domain", ["servfail.test", "slow.test"])
async def test_no_answer_is_a_yes_that_is_not_cached(
    domains: DnsMailDomains, dns_server: DnsServer, domain: str
) -> None:
    """A broken DNS rejects nobody, and is asked again the next time."""
    assert await domains.accept_mail(domain)
    dns_server.zone[domain] = Records(rcode=dns.rcode.NXDOMAIN)
    assert not await domains.accept_mail(domain)


async def test_the_cache_is_bounded(domains: DnsMailDomains, dns_server: DnsServer) -> None:
    """The oldest verdict is dropped first."""
    for domain in ("a.test", "b.test", "c.test", "c.test", "a.test"):
        await domains.accept_mail(domain)
    assert [name for name, _ in dns_server.questions] == ["a.test", "b.test", "c.test", "a.test"]


@pytest.mark.parametrize(
    ("records", "accepts"),
    [
        (Records(a=("192.0.2.1",)), True),
        (Records(aaaa=("2001:db8::1",)), True),
        (Records(mx=("0 .", "10 mx.example.")), True),
        (Records(), False),
    ],
)
async def test_an_address_without_mx_is_enough(
    domains: DnsMailDomains, dns_server: DnsServer, records: Records, accepts: bool
) -> None:
    """Without MX, mail goes to the domain's IPv4 or IPv6 address (RFC 5321, section 5.1)."""
    dns_server.zone["some.test"] = records
    assert await domains.accept_mail("some.test") is accepts


async def test_an_answer_with_a_ttl_of_0_is_not_cached(domains: DnsMailDomains, dns_server: DnsServer) -> None:
    """With a TTL of 0, each call sends a query."""
    dns_server.zone["some.test"] = Records(mx=("10 mx.example.",), ttl_s=0)
    for _ in range(2):
        assert await domains.accept_mail("some.test")
    assert len(dns_server.questions) == 2


async def test_an_impossible_name_receives_no_mail(domains: DnsMailDomains, dns_server: DnsServer) -> None:
    """A label of more than 63 characters is rejected without a query."""
    assert not await domains.accept_mail("x" * 64 + ".test")
    assert dns_server.questions == []


async def test_an_error_for_one_address_family_is_no_answer() -> None:
    """If IPv4 has no address and IPv6 gives an error, the verdict is a yes that is not cached."""
    server = _BrokenForIpv6()
    server.zone["half.test"] = Records()
    await server.start()

    domains = DnsMailDomains([server.host], server.port, timeout_s=1)
    for _ in range(2):
        assert await domains.accept_mail("half.test")

    assert server.questions.count(("half.test", "MX")) == 2

    await server.stop()


class _BrokenForIpv6(DnsServer):
    """Answers SERVFAIL to every query for an IPv6 address."""

    def answer(self, wire: bytes) -> bytes | None:
        """Return the answer, with the response code SERVFAIL (2) for AAAA."""
        answer = super().answer(wire)
        if answer is None or self.questions[-1][1] != "AAAA":
            return answer
        return answer[:3] + bytes([answer[3] | dns.rcode.SERVFAIL]) + answer[4:]


def test_the_systems_servers_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system configures no server, the local machine is asked, as in resolv.conf(5)."""
    made: list[dns.asyncresolver.Resolver] = []

    class Unconfigured(dns.asyncresolver.Resolver):
        def __init__(self, configure: bool = True) -> None:
            if configure:
                raise dns.resolver.NoResolverConfiguration
            super().__init__(configure=False)
            made.append(self)

    monkeypatch.setattr(dns.asyncresolver, "Resolver", Unconfigured)
    DnsMailDomains()
    DnsMailDomains(["192.0.2.53"], 5353)

    assert [(resolver.nameservers, resolver.port) for resolver in made] == [(["127.0.0.1"], 53), (["192.0.2.53"], 5353)]
