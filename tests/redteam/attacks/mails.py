"""Mails: bombing one victim, and draining what all share."""

import asyncio
import time
from collections import Counter
from typing import Final

from tests.redteam.attack import Attack, Count
from tests.redteam.scene import Scene, network

_FORMS: Final = 10
_RESENDS: Final = 20
_BACKLOG: Final = 60
_TRUSTED: Final = 4


def spelt(address: str, number: int) -> str:
    """Return one of many spellings of an address that reach the same mailbox, or are worth a try."""
    local, _, domain = address.rpartition("@")
    forms = (
        address,
        address.upper(),
        f"{local}+{number}@{domain}",
        f"{local.title()}+x+{number}@{domain.upper()}",
        f"{address}.",
        f" \t{address} ",
        f"{local.replace('fi', 'ﬁ')}@{domain}",
        f"{local.replace('s', 'ſ')}@{domain}",
        f"{''.join(chr(ord(letter) + 0xFEE0) if letter.isalpha() else letter for letter in local)}@{domain}",
        f"{local.replace('k', chr(0x212A))}+{number}@{domain}",
    )
    return forms[number % len(forms)]


async def bombing(scene: Scene) -> list[Count]:
    """Ask for codes for one mailbox, in every spelling, each time from another network and with a good token."""
    victim = scene.address("sofi.k")
    asking = (scene.ask(spelt(victim, number), ip=network(number)) for number in range(scene.size.flood))
    signin_ids = await asyncio.gather(*asking)
    await scene.heard(signin_ids)
    said = await scene.said()
    kinds = Counter(said[one][0].kind for one in signin_ids)
    arrived = len(scene.mails(victim))

    assert arrived, f"not even one mail came: {kinds}"
    assert not kinds["signin.rejected invalid_email"], f"a spelling is no address, so it was no try: {kinds}"

    await scene.signed_in(victim, trusted_device=True)
    limits = scene.policy.limits

    return [
        Count(
            tried=f"sign-ins for one mailbox, {_FORMS} spellings, as many networks as requests",
            tries=len(signin_ids),
            through=arrived,
            what="mails in an hour; the owner then signed in from a trusted device",
            at_most=limits.sends_per_hour,
            bound="SIGNIN_LIMITS__SENDS_PER_HOUR",
        )
    ]


async def send_again(scene: Scene) -> list[Count]:
    """Ask for the same code again and again."""
    victim = scene.address()
    begun = time.monotonic()
    signin_id = await scene.ask(victim)
    await scene.heard([signin_id])
    for attempt in range(2, _RESENDS + 1):
        await scene.ask(victim, signin_id=signin_id, attempt=attempt)

    await scene.heard([signin_id], _RESENDS)
    cooldown_s = scene.policy.limits.send_cooldown_s

    return [
        Count(
            tried="attempts of one sign-in, one after the other",
            tries=_RESENDS,
            through=len(scene.mails(victim)),
            what="mails",
            at_most=1 + int((time.monotonic() - begun) / cooldown_s),
            bound="one, and one for each SIGNIN_LIMITS__SEND_COOLDOWN_S that passed",
        )
    ]


async def draining(scene: Scene) -> list[Count]:
    """Ask for more mails than all workers may send, for one mailbox each, then as somebody with a trusted device."""
    strangers = [scene.address("stranger") for _ in range(_BACKLOG)]
    await asyncio.gather(*(scene.ask(one, ip=network(number)) for number, one in enumerate(strangers)))
    await scene.done()
    owners = [scene.address("owner") for _ in range(_TRUSTED)]
    before = len(scene.all_mails())

    assert before < _BACKLOG / 2, f"{before} mails went out at once: nothing was drained"

    signin_ids = await asyncio.gather(*(scene.ask(one, trusted_device=True) for one in owners))
    await scene.heard(signin_ids)
    served = [mail.recipients[0] for mail in scene.all_mails()[before:]]
    last = max(served.index(owner) for owner in owners)
    await scene.stage.eventually(lambda: _all_sent(scene), "the strangers get their mails too", within_s=120)

    return [
        Count(
            tried=f"mails of strangers that wait while {_TRUSTED} trusted devices ask, at 2 mails a second",
            tries=_BACKLOG - before,
            through=sum(one in strangers for one in served[:last]),
            what="of them went out before the last of the trusted; then the rest, none was rejected",
            at_most=(_BACKLOG - before) // 2,
            bound="half: first come, first served would be all; some are in hand already",
        )
    ]


async def _all_sent(scene: Scene) -> bool:
    return len(scene.all_mails()) == _BACKLOG + _TRUSTED


ATTACKS = (
    Attack("mail-bombing", "S9, S14", bombing, short=True),
    Attack("send-again", "S9, S10", send_again),
)
DRAINING = (Attack("draining-the-mail-rate", "S9", draining),)
