"""DNS, as far as mail needs it: whether a domain can take mail."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

logger = logging.getLogger(__name__)

_LOCAL_SERVER = "127.0.0.1"


class _Verdict(NamedTuple):
    """``ttl_s`` 0: nobody knows, so it is not remembered."""

    accepts: bool
    ttl_s: float


_NOBODY_KNOWS = _Verdict(accepts=True, ttl_s=0)


class DnsMailDomains:
    """Fulfils ``MailDomains``.

    ``nameservers``: IP addresses, none for the system's; a lookup ends after ``timeout_s`` seconds. The newest
    ``cache_size`` verdicts are remembered for as long as DNS says, but at most ``cache_ttl_s`` seconds; a "no" for at
    most ``negative_ttl_s``.
    """

    def __init__(
        self,
        nameservers: Sequence[str] = (),
        port: int = 53,
        *,
        timeout_s: float = 2.0,
        cache_size: int = 10_000,
        cache_ttl_s: float = 300.0,
        negative_ttl_s: float = 30.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolver = _resolver(nameservers, port, timeout_s)
        self._timeout_s = timeout_s
        self._cache_size = cache_size
        self._cache_ttl_s = cache_ttl_s
        self._negative_ttl_s = negative_ttl_s
        self._monotonic = monotonic
        self._cache: OrderedDict[str, tuple[float, bool]] = OrderedDict()

    async def accept_mail(self, domain: str) -> bool:
        """Tell whether ``domain`` (A-labels) can take mail.

        False for NXDOMAIN, a null MX (RFC 7505), or neither MX nor address. True too when DNS gives no answer in time,
        or SERVFAIL; that is asked again next time.
        """
        key = domain.lower().rstrip(".")
        until, accepts = self._cache.get(key, (0.0, False))
        if self._monotonic() < until:
            return accepts
        verdict = await self._look_up(key)
        self._remember(key, verdict)
        return verdict.accepts

    def _remember(self, key: str, verdict: _Verdict) -> None:
        longest = self._cache_ttl_s if verdict.accepts else self._negative_ttl_s
        self._cache.pop(key, None)
        if verdict.ttl_s > 0:
            self._cache[key] = (self._monotonic() + min(verdict.ttl_s, longest), verdict.accepts)
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)

    async def _look_up(self, domain: str) -> _Verdict:
        try:
            name = dns.name.from_text(domain)
        except dns.exception.DNSException:  # a label that is empty or too long: such a name cannot exist
            return self._no()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(name)
        except dns.resolver.NXDOMAIN:
            return self._no()
        except (dns.exception.DNSException, OSError, TimeoutError) as error:
            logger.warning("DNS gave no answer", extra={"error": type(error).__name__})
            return _NOBODY_KNOWS

    async def _ask(self, name: dns.name.Name) -> _Verdict:
        exchanges = await self._records(name, dns.rdatatype.MX)
        if exchanges is not None:
            takes = any(record.exchange != dns.name.root for record in exchanges)
            return _Verdict(takes, exchanges.rrset.ttl if exchanges.rrset else 0)
        kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
        found = await asyncio.gather(*(self._records(name, kind) for kind in kinds), return_exceptions=True)
        for answer in found:
            if isinstance(answer, dns.resolver.Answer):
                return _Verdict(True, answer.rrset.ttl if answer.rrset else 0)
        for answer in found:
            if isinstance(answer, BaseException):
                raise answer
        return self._no()

    async def _records(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.resolver.Answer | None:
        """Return the records, or None if the name has none of that kind."""
        try:
            return await self._resolver.resolve(name, kind, search=False)
        except dns.resolver.NoAnswer:
            return None

    def _no(self) -> _Verdict:
        return _Verdict(accepts=False, ttl_s=self._negative_ttl_s)


def _resolver(nameservers: Sequence[str], port: int, timeout_s: float) -> dns.asyncresolver.Resolver:
    try:
        resolver = dns.asyncresolver.Resolver(configure=not nameservers)
    except dns.resolver.NoResolverConfiguration:  # resolv.conf(5): then it is the local machine's
        resolver = dns.asyncresolver.Resolver(configure=False)
        nameservers = (_LOCAL_SERVER,)
    if nameservers:
        resolver.nameservers = list(nameservers)
    resolver.port = port
    resolver.lifetime = timeout_s
    resolver.timeout = timeout_s / 2  # a second try, since UDP may lose one
    return resolver
