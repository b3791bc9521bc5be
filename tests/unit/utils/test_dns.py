"""Whether a domain takes mail, asked of a DNS server."""

from collections.abc import AsyncIterator

import dns.asyncresolver
import dns.rcode
import dns.resolver
import pytest

from deploy.local.servers.dns_server import DnsServer, Records
from utils.dns import DnsMailDomains


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


@pytest.fixture
def watch() -> Watch:
    """Give a clock."""
    return Watch()


@pytest.fixture
async def domains(dns_server: DnsServer, watch: Watch) -> AsyncIterator[DnsMailDomains]:
    """Give a look-up that asks the local server and remembers two verdicts."""
    yield DnsMailDomains([dns_server.host], dns_server.port, timeout_s=0.5, cache_size=2, monotonic=watch)


async def test_a_yes_is_remembered_for_as_long_as_dns_says(
    domains: DnsMailDomains, dns_server: DnsServer, watch: Watch
) -> None:
    """A burst of sign-ins asks once."""
    for _ in range(3):
        assert await domains.accept_mail("Good.Example.")
        watch.now += 25
    assert dns_server.questions == [("good.example", "MX")]
    watch.now += 1
    assert await domains.accept_mail("good.example")
    assert len(dns_server.questions) == 2


async def test_a_no_is_remembered_for_a_short_time(
    domains: DnsMailDomains, dns_server: DnsServer, watch: Watch
) -> None:
    """Somebody who has just set up a domain does not wait for long."""
    assert not await domains.accept_mail("nullmx.test")
    assert not await domains.accept_mail("nullmx.test")
    assert len(dns_server.questions) == 1
    watch.now += 31
    dns_server.zone["nullmx.test"] = Records(mx=("10 mx.example.",))
    assert await domains.accept_mail("nullmx.test")


@pytest.mark.parametrize("domain", ["servfail.test", "slow.test"])
async def test_no_answer_is_a_yes_that_is_not_remembered(
    domains: DnsMailDomains, dns_server: DnsServer, domain: str
) -> None:
    """A sick DNS locks nobody out, and is asked again."""
    assert await domains.accept_mail(domain)
    dns_server.zone[domain] = Records(rcode=dns.rcode.NXDOMAIN)
    assert not await domains.accept_mail(domain)


async def test_the_memory_is_bounded(domains: DnsMailDomains, dns_server: DnsServer) -> None:
    """The oldest verdict goes first."""
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
async def test_an_address_is_enough(
    domains: DnsMailDomains, dns_server: DnsServer, records: Records, accepts: bool
) -> None:
    """Without MX, mail goes to the address of the name (RFC 5321, section 5.1), of either family."""
    dns_server.zone["some.test"] = records
    assert await domains.accept_mail("some.test") is accepts


async def test_an_answer_without_a_time_to_live_is_not_remembered(
    domains: DnsMailDomains, dns_server: DnsServer
) -> None:
    """A TTL of 0 means: ask each time."""
    dns_server.zone["some.test"] = Records(mx=("10 mx.example.",), ttl_s=0)
    for _ in range(2):
        assert await domains.accept_mail("some.test")
    assert len(dns_server.questions) == 2


async def test_a_name_that_cannot_exist_takes_no_mail(domains: DnsMailDomains, dns_server: DnsServer) -> None:
    """Labels are at most 63 characters long; nobody is asked."""
    assert not await domains.accept_mail("x" * 64 + ".test")
    assert dns_server.questions == []


async def test_when_one_family_fails_and_the_other_has_none_nobody_knows() -> None:
    """An answer for IPv4 does not stand for IPv6."""
    half = _WithoutIpv6Answers()
    half.zone["half.test"] = Records()
    await half.start()
    domains = DnsMailDomains([half.host], half.port, timeout_s=1)
    for _ in range(2):
        assert await domains.accept_mail("half.test")

    assert half.questions.count(("half.test", "MX")) == 2

    await half.stop()


class _WithoutIpv6Answers(DnsServer):
    """Answers SERVFAIL to every question for an IPv6 address."""

    def answer(self, wire: bytes) -> bytes | None:
        """Return the answer, its response code changed to SERVFAIL (2) for AAAA."""
        answer = super().answer(wire)
        if answer is None or self.questions[-1][1] != "AAAA":
            return answer
        return answer[:3] + bytes([answer[3] | dns.rcode.SERVFAIL]) + answer[4:]


def test_the_systems_servers_are_used_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system names none it is the local machine, as resolv.conf(5) has it."""
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
