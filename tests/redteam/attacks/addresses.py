"""Addresses and client data: look-alikes, injection, and forged networks."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from deploy.local.servers.mail_server import ReceivedMail
from tests.redteam.attack import Attack, Count
from tests.redteam.scene import Scene

_EVIL: Final = "inj3cted"
_HEADERS: Final = {
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "auto-submitted",
    "content-language",
    "mime-version",
    "content-type",
}
_PER_FORM: Final = 4

Change = Callable[[str, str], str]
"""Turns the local part and domain of an owner's address into another address."""

_LOOK_ALIKES: Final[dict[str, Change]] = {
    "dotless i": lambda local, domain: f"{local.replace('i', 'ı')}@{domain}",
    "Kelvin sign": lambda local, domain: f"{local.replace('k', chr(0x212A))}@{domain}",
    "ß": lambda local, domain: f"{local.replace('ss', 'ß')}@{domain}",
    "long s": lambda local, domain: f"{local.replace('s', 'ſ')}@{domain}",
    "ligature": lambda local, domain: f"{local.replace('fi', 'ﬁ')}@{domain}",
    "full-width": lambda local, domain: f"{local.replace('m', 'ｍ')}@{domain}",
    "Cyrillic": lambda local, domain: f"{local.replace('e', 'е')}@{domain}",
    "zero-width joiner": lambda local, domain: f"{local[:2]}\u200d{local[2:]}@{domain}",
    "right-to-left override": lambda local, domain: f"\u202e{local}@{domain}",
    "combining dot": lambda local, domain: f"{local}\u0307@{domain}",
    "upper case": lambda local, domain: f"{local.upper()}@{domain.upper()}",
    "trailing dot": lambda local, domain: f"{local}@{domain}.",
    "two trailing dots": lambda local, domain: f"{local}@{domain}..",
    "tag": lambda local, domain: f"{local}+evil@{domain}",
    "dots": lambda local, domain: f"{local.replace('.', '')}@{domain}",
    "homograph domain": lambda local, domain: f"{local}@{domain.replace('o', 'о')}",
    "full-width domain": lambda local, domain: f"{local}@{domain.replace('o', 'ｏ')}",
    "soft hyphen in the domain": lambda local, domain: f"{local}@{domain[:1]}\u00ad{domain[1:]}",
    "ideographic full stop": lambda local, domain: f"{local}@{domain.replace('.', '。')}",
    "two at-signs": lambda local, domain: f"{local}@{domain}@evil.example",
    "percent": lambda local, domain: f"{local}%{domain}@evil.example",
    "bang": lambda local, domain: f"{domain}!{local}@evil.example",
    "source route": lambda local, domain: f"@evil.example:{local}@{domain}",
    "comment": lambda local, domain: f"{local}(evil)@{domain}",
    "quoted": lambda local, domain: f'"{local}"@{domain}',
    "sub-domain": lambda local, domain: f"{local}@{domain}.evil.example",
}

_HOSTILE: Final[tuple[Change, ...]] = (
    lambda local, domain: f"{local}@{domain}\r\nBcc: {_EVIL}@{domain}",
    lambda local, domain: f"{local}@{domain}\nX-{_EVIL}: 1",
    lambda local, domain: f"{local}\r\nX-{_EVIL}: 1@{domain}",
    lambda local, domain: f'"{local}\r\nX-{_EVIL}: 1"@{domain}',
    lambda local, domain: f"{local}@{domain}> SIZE=1\r\nRCPT TO:<{_EVIL}@{domain}",
    lambda local, domain: f"{local}@{domain}>,<{_EVIL}@{domain}",
    lambda local, domain: f"{local}@{domain}, {_EVIL}@{domain}",
    lambda local, domain: f"{local}@{domain};{_EVIL}@{domain}",
    lambda local, domain: f"{_EVIL} <{local}@{domain}>",
    lambda local, domain: f"{local}@{domain} {_EVIL}",
    lambda local, domain: f"{local}\x00{_EVIL}@{domain}",
    lambda local, domain: f"{local}\u2028{_EVIL}@{domain}",
    lambda local, domain: f"{local}\x85{_EVIL}@{domain}",
    lambda local, domain: f"{local}@{domain}\x0b{_EVIL}",
    lambda local, domain: f"{local}\r.\r\nMAIL FROM:<{_EVIL}>@{domain}",
    lambda local, domain: f"{local}@[127.0.0.1]",
    lambda local, domain: f"{local}@{domain}%0d%0aBcc:{_EVIL}@{domain}",
    lambda local, domain: f"{local}{'x' * 60}@{domain}",
)
_HOSTILE_CLIENTS: Final[tuple[dict[str, Any], ...]] = tuple(
    {field: text}
    for field in ("locale", "user_agent", "ip")
    for text in (
        f"de\r\nBcc: {_EVIL}@ok.example",
        f"../../{_EVIL}",
        f"{{{{ {_EVIL} }}}}",
        f"<script>{_EVIL}</script>",
        f"Firefox/1 https://{_EVIL}.example",
        f"fe80::1%{_EVIL}",
        f"\x00{_EVIL}",
        _EVIL * 100,
    )
)
_FORGED: Final[dict[str, tuple[Any, ...]]] = {
    "an IPv4 /24": (
        "203.0.113.7",
        " 203.0.113.8 ",
        "203.0.113.255",
        "::ffff:203.0.113.9",
        "::ffff:cb00:710a",
        "0:0:0:0:0:ffff:203.0.113.11",
        "::FFFF:CB00:71FE",
    ),
    "an IPv6 /48": (
        "2001:db8:1::1",
        "2001:0DB8:0001:0000:0000:0000:0000:0002",
        "2001:db8:1:ffff::",
        "2001:db8:1:2::203.0.113.9",
        "2001:db8:1::1%eth0",
        "2001:db8:1::1%" + "z" * 40,
    ),
    "no address": (
        "",
        " ",
        "unknown",
        "localhost",
        "203.0.113",
        "999.1.1.1",
        "203.0.113.009",
        "0xcb007107",
        "3405803783",
        "203.0.113.7:443",
        "[2001:db8::1]",
        "203.0.113.7, 10.0.0.1",
        "203.0.113.7\r\nX: 1",
        "١.١.١.١",
        None,
    ),
}


async def use_look_alikes(scene: Scene) -> list[Count]:
    """Sign in with addresses that look like a victim's, or might be folded to it."""
    pairs = [_pair(scene, change) for change in _LOOK_ALIKES.values()]
    kinds = Counter(await asyncio.gather(*(_fate(scene, *pair) for pair in pairs)))

    assert kinds["same"] and kinds["other"] and kinds["none"], f"not every kind was tried: {kinds}"

    return [
        Count(
            tried=f"addresses that look like a victim's: {', '.join(_LOOK_ALIKES)}",
            tries=len(pairs),
            through=kinds["taken over"],
            what=f"accounts whose mail went elsewhere; {kinds['same']} are the owner's own address, {kinds['other']} "
            f"another account, {kinds['none']} no valid address",
            at_most=0,
            bound="none",
        )
    ]


async def inject_content(scene: Scene) -> list[Count]:
    """Put headers, recipients, commands and markup into every value that could reach a mail."""
    before = len(scene.servers.mail_server.mails)
    hostile = [change(*scene.address().rsplit("@", 1)) for change in _HOSTILE]
    by_address = await asyncio.gather(*(scene.request(one) for one in hostile))

    honest = [scene.address() for _ in _HOSTILE_CLIENTS]
    requests = (scene.request(address, **client) for address, client in zip(honest, _HOSTILE_CLIENTS, strict=True))
    by_client = await asyncio.gather(*requests)

    await scene.wait_for_results([*by_address, *by_client])
    await scene.wait_until_done()
    mails = scene.servers.mail_server.mails[before:]
    arrived = {recipient for mail in mails for recipient in mail.recipients}

    assert arrived.issuperset(honest), f"{len(set(honest) - arrived)} honest addresses got no mail"

    allowed = {*honest, *hostile}

    return [
        Count(
            tried="line ends, lists, commands, templates and markup in the address, locale, user agent and ip",
            tries=len(hostile) + len(honest),
            through=sum(_is_tampered(mail, allowed) for mail in mails),
            what="mails with another recipient, another header, or any of the injected text",
            at_most=0,
            bound="none",
        )
    ]


async def forge_client_ip(scene: Scene) -> list[Count]:
    """Write the addresses of one network in every possible way, so as to pass for many networks."""
    counts = []
    for network, forms in _FORGED.items():
        victim = scene.address("forged")
        signin_ids = await asyncio.gather(*(scene.request(victim, ip=ip) for ip in _PER_FORM * forms))
        await scene.wait_for_results(signin_ids)
        kinds = [(await scene.results())[one][0].kind for one in signin_ids]

        assert "signin.rejected throttled" in kinds and "signin.code_sent" in kinds, kinds

        counts.append(
            Count(
                tried=f"client.ip: {len(forms)} ways to write {network}",
                tries=len(signin_ids),
                through=len(scene.mails(victim)),
                what="mails, with 20 allowed in an hour",
                at_most=scene.policy.limits.sends_per_day // 2,
                bound="half of SIGNIN_LIMITS__SENDS_PER_DAY, the share of one network",
            )
        )

    return counts


def _pair(scene: Scene, change: Change) -> tuple[str, str]:
    victim = scene.address("mike.fisskelle")
    return victim, change(*victim.rsplit("@", 1))


async def _fate(scene: Scene, victim: str, alike: str) -> str:
    """Tell whether a look-alike is no valid address, another account, or the victim's, and where its mail went."""
    owner = await scene.request(victim)
    attacker = await scene.request(alike, ip="198.51.100.1")
    await scene.wait_for_results([owner, attacker])
    results = await scene.results()
    accounts = [json.loads(results[one][0].value).get("account") for one in (owner, attacker)]

    assert results[owner][0].kind == "signin.code_sent", results[owner][0].kind

    if accounts[1] is None:
        return "none"
    if accounts[0] != accounts[1]:
        return "other"

    unique = victim.partition("@")[0].rpartition(".")[2]
    sent_to = {one for mail in scene.all_mails() for one in mail.recipients if unique in one}

    return "same" if {_ascii_folded(one) for one in sent_to} == {victim} else "taken over"


def _ascii_folded(recipient: str) -> str:
    """Fold only ASCII case, as every relevant mail server does."""
    return "".join(one.lower() if one.isascii() else one for one in recipient)


def _is_tampered(mail: ReceivedMail, allowed: set[str]) -> bool:
    headers = {name.lower() for name in mail.message}
    return (
        len(mail.recipients) != 1
        or not allowed.issuperset(mail.recipients)
        or headers != _HEADERS
        or _EVIL.encode() in mail.raw
        or len(mail.message.get_all("to", [])) != 1
    )


ATTACKS = (
    Attack("looking-alike", "S14", use_look_alikes, short=True),
    Attack("injecting", "S13, S16", inject_content, short=True),
)
MANY_SENDS = (Attack("forging-client-ip", "S5", forge_client_ip),)
