"""What the worker takes from an emitter's statements about a client."""

import pytest

from workflows.rules.clients import browser_of, network_of, valid_ip


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        (" 203.0.113.255 ", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("2001:DB8:1:ffff::", "2001:db8:1::/48"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("203.0.113.7:80", "unknown"),
        ("203.0.113.0/24", "unknown"),
        ("localhost", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_network_is_an_ipv4_24_or_an_ipv6_48(ip: str | None, network: str) -> None:
    """IPv4-mapped addresses count as IPv4.

    Everything else is one network, called ``unknown``.
    """
    assert network_of(ip) == network


def test_an_ip_address_is_canonical_or_dropped() -> None:
    """No text that an attacker chose passes."""
    assert valid_ip("2001:DB8:0:0::1") == "2001:db8::1"
    assert valid_ip("::ffff:203.0.113.7") == "203.0.113.7"
    assert valid_ip("fe80::1%<script>") == "fe80::1"
    assert valid_ip("<script>") is None


@pytest.mark.parametrize(
    ("user_agent", "browser"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox"),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/142.0 Safari/537.36 Edg/142.0",
            "Edge",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/142.0 Safari/537.36 OPR/120.0",
            "Opera",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 SamsungBrowser/28.0 Chrome/130.0",
            "Samsung Internet",
        ),
        ("Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 CriOS/142.0 Mobile Safari/604.1", "Chrome"),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Version/26.0 Safari/605.1.15", "Safari"),
        ("Firefox", "Firefox"),
        ("click here: evil.example", None),
        ("", None),
        (None, None),
    ],
)
def test_a_browser_is_one_of_a_fixed_list(user_agent: str | None, browser: str | None) -> None:
    """An attacker may choose the rest of the user agent, so it is dropped."""
    assert browser_of(user_agent) == browser
