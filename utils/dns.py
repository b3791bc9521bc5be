"""DNS, as far as mail needs it: whether a domain can receive mail."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

logger = logging.getLogger(__name__)

_LOCAL_SERVER: Final = "127.0.0.1"
_ADDRESS_TYPES: Final = (dns.rdatatype.A, dns.rdatatype.AAAA)


class _Verdict(NamedTuple):
    """``ttl_s`` is 0 if DNS gave no usable answer; such a verdict is not cached."""

    accepts: bool
    ttl_s: float


_NO_ANSWER: Final = _Verdict(accepts=True, ttl_s=0)


class DnsMailDomains:
    """Implements ``MailDomains``.

    ``nameservers`` are IP addresses; without any, the system's are used. A lookup ends
    after ``timeout_s`` seconds. The latest ``cache_size`` verdicts are cached for as long
    as DNS says, but at most for ``cache_ttl_s`` seconds, and a "no" at most for
    ``negative_ttl_s``.
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
        """Tell whether ``domain`` (A-labels) can receive mail.

        False for NXDOMAIN, a null MX (RFC 7505), or neither MX nor address. True also when
        DNS answers too late or with SERVFAIL; then the next call asks again.
        """
        key = domain.lower().rstrip(".")
        valid_until, accepts = self._cache.get(key, (0.0, False))
        if self._monotonic() < valid_until:
            return accepts

        verdict = await self._look_up(key)
        self._remember(key, verdict)
        return verdict.accepts

    def _remember(self, key: str, verdict: _Verdict) -> None:
        self._cache.pop(key, None)

        if verdict.ttl_s > 0:
            max_ttl_s = self._cache_ttl_s if verdict.accepts else self._negative_ttl_s
            valid_until = self._monotonic() + min(verdict.ttl_s, max_ttl_s)
            self._cache[key] = (valid_until, verdict.accepts)

        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)

    async def _look_up(self, domain: str) -> _Verdict:
        try:
            name = dns.name.from_text(domain)
        except dns.exception.DNSException:  # a label is empty or too long, so the name cannot exist
            return self._rejection()

        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._query(name)
        except dns.resolver.NXDOMAIN:
            return self._rejection()
        except (dns.exception.DNSException, OSError, TimeoutError) as error:
            logger.warning("DNS gave no answer", extra={"error": type(error).__name__})
            return _NO_ANSWER

    async def _query(self, name: dns.name.Name) -> _Verdict:
        exchanges = await self._records(name, dns.rdatatype.MX)
        if exchanges is not None:
            accepts = any(record.exchange != dns.name.root for record in exchanges)
            return _Verdict(accepts, _ttl_s(exchanges))

        lookups = (self._records(name, kind) for kind in _ADDRESS_TYPES)
        answers = await asyncio.gather(*lookups, return_exceptions=True)

        for answer in answers:
            if isinstance(answer, dns.resolver.Answer):
                return _Verdict(True, _ttl_s(answer))
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return self._rejection()

    async def _records(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.resolver.Answer | None:
        """Return the records, or None if the name has none of this type."""
        try:
            return await self._resolver.resolve(name, kind, search=False)
        except dns.resolver.NoAnswer:
            return None

    def _rejection(self) -> _Verdict:
        return _Verdict(accepts=False, ttl_s=self._negative_ttl_s)


def _ttl_s(answer: dns.resolver.Answer) -> float:
    return answer.rrset.ttl if answer.rrset else 0


def _resolver(nameservers: Sequence[str], port: int, timeout_s: float) -> dns.asyncresolver.Resolver:
    try:
        resolver = dns.asyncresolver.Resolver(configure=not nameservers)
    except dns.resolver.NoResolverConfiguration:  # then the server is local, says resolv.conf(5)
        resolver = dns.asyncresolver.Resolver(configure=False)
        nameservers = (_LOCAL_SERVER,)

    if nameservers:
        resolver.nameservers = list(nameservers)
    resolver.port = port
    resolver.lifetime = timeout_s
    resolver.timeout = timeout_s / 2  # leaves time for a second attempt, since UDP may lose one

    return resolver
