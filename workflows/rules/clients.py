"""What is taken from an emitter's word about a client: a network, an address, a browser's name, nothing else."""

import ipaddress
import re

_BROWSERS = (
    ("Edge", re.compile(r"\bEdg(?:e|A|iOS)?/")),
    ("Opera", re.compile(r"\bOPR/|\bOpera\b")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)\b")),
    ("Chrome", re.compile(r"\b(?:Chrome|CriOS)\b")),
    ("Safari", re.compile(r"\bSafari\b")),
)


def valid_ip(text: str | None) -> str | None:
    """Return the address in its canonical form, an IPv4-mapped one as IPv4; None if it is none."""
    address = _ip(text)
    return None if address is None else str(address)


def network_of(text: str | None) -> str:
    """Return the network that budgets are divided by: IPv4 /24, IPv6 /48, or ``unknown``."""
    address = _ip(text)
    if address is None:
        return "unknown"
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


def browser_of(user_agent: str | None) -> str | None:
    """Return the browser's family, one of a fixed list: the text itself is an attacker's to choose (SECURITY S16)."""
    return next((name for name, pattern in _BROWSERS if user_agent and pattern.search(user_agent)), None)


def _ip(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address((text or "").strip())
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or ipaddress.IPv6Address(int(address))  # without a zone
    return address
