"""A local DNS server over UDP with a scripted zone.

Every name under ``example`` and ``test`` (reserved for such uses by RFC 2606) has a mail
exchanger, and no other name exists, unless the zone says otherwise. ``DEFAULT_ZONE`` lists
names that differ.
"""

import asyncio
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from deploy.local.places import LOOPBACK

_TTL_S: Final = 60
_RESERVED: Final = tuple(dns.name.from_text(name) for name in ("example.", "test."))


@dataclass(frozen=True)
class Records:
    """What the server answers about one name. To a ``silent`` name it gives no answer."""

    mx: tuple[str, ...] = ()
    a: tuple[str, ...] = ()
    aaaa: tuple[str, ...] = ()
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    silent: bool = False
    ttl_s: int = _TTL_S


HAS_MAIL: Final = Records(mx=("10 mx.mail.example.",))
NO_SUCH_NAME: Final = Records(rcode=dns.rcode.NXDOMAIN)
DEFAULT_ZONE: Final = MappingProxyType(
    {
        "nxdomain.test": NO_SUCH_NAME,
        "nullmx.test": Records(mx=("0 .",)),
        "nomail.test": Records(),
        "addressonly.test": Records(a=("192.0.2.1",)),
        "servfail.test": Records(rcode=dns.rcode.SERVFAIL),
        "slow.test": Records(silent=True),
    }
)


class DnsServer:
    """Listens on a free port between ``start`` and ``stop``. ``questions`` are (name, type), oldest first."""

    def __init__(self) -> None:
        self.host = LOOPBACK
        self.port = 0
        self.zone: dict[str, Records] = dict(DEFAULT_ZONE)
        self.questions: list[tuple[str, str]] = []
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Protocol(self), (self.host, 0))
        self.port = self._transport.get_extra_info("sockname")[1]

    async def stop(self) -> None:
        """Close the port. May be called again."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def answer(self, wire: bytes) -> bytes | None:
        """Return the response to a query, both in wire format. None means no response."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None

        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        self.questions.append((question.name.to_text(omit_final_dot=True).lower(), kind))

        records = self._records(question.name)
        return None if records.silent else _response(query, kind, records).to_wire()

    def _records(self, name: dns.name.Name) -> Records:
        scripted = self.zone.get(name.to_text(omit_final_dot=True).lower())
        if scripted is not None:
            return scripted
        return HAS_MAIL if any(name.is_subdomain(reserved) for reserved in _RESERVED) else NO_SUCH_NAME


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own transport is not a subclass

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.answer(data)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


def _response(query: dns.message.Message, kind: str, records: Records) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    response.flags |= dns.flags.AA
    response.set_rcode(records.rcode)

    texts = {"MX": records.mx, "A": records.a, "AAAA": records.aaaa}.get(kind, ())
    if texts:
        response.answer.append(dns.rrset.from_text(query.question[0].name, records.ttl_s, "IN", kind, *texts))

    return response
