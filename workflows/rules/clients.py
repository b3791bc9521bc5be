"""What the worker believes about a client: its network, IP address and browser."""

import ipaddress
import re

_IPV4_PREFIX = 24
_IPV6_PREFIX = 48
_BROWSERS = (
    ("Edge", re.compile(r"\bEdg(?:e|A|iOS)?/")),
    ("Opera", re.compile(r"\bOPR/|\bOpera\b")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)\b")),
    ("Chrome", re.compile(r"\b(?:Chrome|CriOS)\b")),
    ("Safari", re.compile(r"\bSafari\b")),
)


def valid_ip(text: str | None) -> str | None:
    """Return the address in canonical form, or None if it is not an address.

    IPv4-mapped IPv6 addresses are returned as IPv4.
    """
    address = _parse_ip(text)
    return None if address is None else str(address)


def network_of(text: str | None) -> str:
    """Return the network that shares a budget: an IPv4 /24, an IPv6 /48, or ``unknown``."""
    address = _parse_ip(text)
    if address is None:
        return "unknown"

    prefix = _IPV4_PREFIX if address.version == 4 else _IPV6_PREFIX
    return str(ipaddress.ip_network((address, prefix), strict=False))


def browser_of(user_agent: str | None) -> str | None:
    """Return the browser's family from a fixed list.

    Nothing else of the text is used, since an attacker can choose it (SECURITY S16).
    """
    if not user_agent:
        return None
    return next((name for name, pattern in _BROWSERS if pattern.search(user_agent)), None)


def _parse_ip(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address((text or "").strip())
    except ValueError:
        return None

    if isinstance(address, ipaddress.IPv6Address):
        without_zone = ipaddress.IPv6Address(int(address))
        return address.ipv4_mapped or without_zone
    return address
