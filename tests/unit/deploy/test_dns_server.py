"""The local DNS server answers from its zone."""

import asyncio

import dns.asyncresolver
import dns.exception
import dns.resolver
import pytest

from deploy.local.servers.dns_server import DnsServer, Records


def _resolver(server: DnsServer) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [server.host]
    resolver.port = server.port
    resolver.lifetime = 0.5
    return resolver


async def _ask(server: DnsServer, name: str, kind: str = "MX") -> list[str]:
    answer = await _resolver(server).resolve(name, kind)
    return [str(record) for record in answer]


async def test_reserved_names_have_a_mail_exchanger(dns_server: DnsServer) -> None:
    """Names under ``example`` and ``test`` accept mail, and questions are recorded."""
    assert await _ask(dns_server, "ok.example") == await _ask(dns_server, "deep.ok.test") == ["10 mx.mail.example."]
    assert dns_server.questions == [("ok.example", "MX"), ("deep.ok.test", "MX")]


async def test_names_of_the_default_zone_differ(dns_server: DnsServer) -> None:
    """Each name of the default zone has the records, or the failure, that it is named after."""
    assert await _ask(dns_server, "nullmx.test") == ["0 ."]
    assert await _ask(dns_server, "addressonly.test", "A") == ["192.0.2.1"]

    for name in ("nomail.test", "addressonly.test"):
        with pytest.raises(dns.resolver.NoAnswer):
            await _ask(dns_server, name)

    for name in ("nxdomain.test", "elsewhere.org"):
        with pytest.raises(dns.resolver.NXDOMAIN):
            await _ask(dns_server, name)

    with pytest.raises(dns.resolver.NoNameservers):
        await _ask(dns_server, "servfail.test")

    with pytest.raises(dns.exception.Timeout):
        await _ask(dns_server, "slow.test")


async def test_the_zone_can_be_scripted(dns_server: DnsServer) -> None:
    """A name in the zone has the records and the time to live that it was given."""
    dns_server.zone["six.example"] = Records(aaaa=("2001:db8::1",), ttl_s=7)
    answer = await _resolver(dns_server).resolve("SIX.example", "AAAA")
    assert answer.rrset is not None
    assert ([str(record) for record in answer], answer.rrset.ttl) == (["2001:db8::1"], 7)


async def test_malformed_queries_are_ignored(dns_server: DnsServer) -> None:
    """Bytes that are not a query get no answer, and the server goes on."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(dns_server.host, dns_server.port)
    )
    transport.sendto(b"nonsense")
    transport.close()

    assert await _ask(dns_server, "ok.example")
    assert len(dns_server.questions) == 1


async def test_stop_may_be_called_at_any_time() -> None:
    """A second stop, and a stop before the start, do nothing."""
    server = DnsServer()
    await server.stop()
    await server.start()
    await server.stop()
    await server.stop()
